package ws

import "sync/atomic"

// Stats counts for all connections that share it. Its zero value is ready; it
// must not be copied.
type Stats struct {
	BytesIn, BytesOut       atomic.Int64 // on the socket, frame headers included
	MessagesIn, MessagesOut atomic.Int64
	SlowReaders             atomic.Int64 // closed with 4408
	PingsSent, PongsMissed  atomic.Int64
}

// Snapshot is the state of Stats at a time.
type Snapshot struct {
	BytesIn, BytesOut       int64 // on the socket, frame headers included
	MessagesIn, MessagesOut int64
	SlowReaders             int64 // closed with 4408
	PingsSent, PongsMissed  int64
}

// Snapshot reads the counters.
func (s *Stats) Snapshot() Snapshot {
	return Snapshot{
		BytesIn: s.BytesIn.Load(), BytesOut: s.BytesOut.Load(),
		MessagesIn: s.MessagesIn.Load(), MessagesOut: s.MessagesOut.Load(),
		SlowReaders: s.SlowReaders.Load(),
		PingsSent:   s.PingsSent.Load(), PongsMissed: s.PongsMissed.Load(),
	}
}
