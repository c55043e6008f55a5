package out

import "sync/atomic"

// Stats holds the counters of all outlets that share it. Its zero value is ready; it must
// not be copied.
type Stats struct {
	BytesOut, MessagesOut atomic.Int64 // bytes on the socket, framing included
	SlowReaders           atomic.Int64 // connections closed for one of the next four limits

	QueueFull     atomic.Int64 // Limits.QueueLimit
	QueueTooLong  atomic.Int64 // Limits.QueueMessages
	WritesStalled atomic.Int64 // Limits.WriteTimeout
	OutgoingFull  atomic.Int64 // Shared.Outgoing
}

// Snapshot is a copy of the counters of Stats.
type Snapshot struct {
	BytesOut, MessagesOut                                             int64
	SlowReaders, QueueFull, QueueTooLong, WritesStalled, OutgoingFull int64
}

// Snapshot reads the counters.
func (s *Stats) Snapshot() Snapshot {
	return Snapshot{
		BytesOut: s.BytesOut.Load(), MessagesOut: s.MessagesOut.Load(), SlowReaders: s.SlowReaders.Load(),
		QueueFull: s.QueueFull.Load(), QueueTooLong: s.QueueTooLong.Load(),
		WritesStalled: s.WritesStalled.Load(), OutgoingFull: s.OutgoingFull.Load(),
	}
}
