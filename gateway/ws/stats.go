package ws

import "sync/atomic"

// Stats counts for all connections that share it. Its zero value is ready; it
// must not be copied.
type Stats struct {
	Sockets                 atomic.Int64 // taken over by Upgrade and not closed yet
	BytesIn, BytesOut       atomic.Int64 // on the socket, frame headers included
	MessagesIn, MessagesOut atomic.Int64
	SlowReaders             atomic.Int64 // closed with 4408
	PingsSent, PongsMissed  atomic.Int64

	// How often a connection reached a limit, one counter for each of Limits.
	MessagesTooLarge, TooManyFragments, MessagesTooSlow, TooManyControls atomic.Int64
	QueueFull, QueueTooLong, WritesStalled                               atomic.Int64
	MemoryWaits, MessagesEvicted                                         atomic.Int64 // of Shared.Memory
	OutgoingFull                                                         atomic.Int64 // of Shared.Outgoing
}

// Snapshot is the state of Stats at a time.
type Snapshot struct {
	BytesIn, BytesOut       int64 // on the socket, frame headers included
	MessagesIn, MessagesOut int64
	SlowReaders             int64 // closed with 4408, for one of the next four
	PingsSent, PongsMissed  int64

	QueueFull     int64 // Limits.QueueLimit
	QueueTooLong  int64 // Limits.QueueMessages
	WritesStalled int64 // Limits.WriteTimeout
	OutgoingFull  int64 // Shared.Outgoing

	MessagesTooLarge int64 // Limits.MessageLimit
	TooManyFragments int64 // Limits.MaxFragments
	MessagesTooSlow  int64 // Limits.AssemblyTimeout
	TooManyControls  int64 // Limits.ControlRate
	MemoryWaits      int64 // waits for Shared.Memory
	MessagesEvicted  int64 // closed with 1013, for others that waited for it
}

// Snapshot reads the counters.
func (s *Stats) Snapshot() Snapshot {
	return Snapshot{
		BytesIn: s.BytesIn.Load(), BytesOut: s.BytesOut.Load(),
		MessagesIn: s.MessagesIn.Load(), MessagesOut: s.MessagesOut.Load(),
		SlowReaders: s.SlowReaders.Load(),
		PingsSent:   s.PingsSent.Load(), PongsMissed: s.PongsMissed.Load(),
		QueueFull: s.QueueFull.Load(), QueueTooLong: s.QueueTooLong.Load(), WritesStalled: s.WritesStalled.Load(),
		OutgoingFull:     s.OutgoingFull.Load(),
		MessagesTooLarge: s.MessagesTooLarge.Load(), TooManyFragments: s.TooManyFragments.Load(),
		MessagesTooSlow: s.MessagesTooSlow.Load(), TooManyControls: s.TooManyControls.Load(),
		MemoryWaits: s.MemoryWaits.Load(), MessagesEvicted: s.MessagesEvicted.Load(),
	}
}
