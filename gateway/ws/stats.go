package ws

import (
	"sync/atomic"

	"wsfpm/gateway/out"
)

// Stats holds the counters of all connections that share it. Its zero value is ready; it
// must not be copied.
type Stats struct {
	out.Stats

	Sockets                atomic.Int64 // open, taken over by Upgrade
	BytesIn, MessagesIn    atomic.Int64 // on the socket, frame headers included
	PingsSent, PongsMissed atomic.Int64

	// How often a connection reached a limit, one counter for each of Limits.
	MessagesTooLarge, TooManyFragments, MessagesTooSlow, TooManyControls atomic.Int64
	MemoryWaits, MessagesEvicted                                         atomic.Int64 // of Shared.Memory
}

// Snapshot is a copy of the counters of Stats.
type Snapshot struct {
	out.Snapshot
	BytesIn, MessagesIn    int64 // on the socket, frame headers included
	PingsSent, PongsMissed int64

	MessagesTooLarge int64 // Limits.MessageLimit
	TooManyFragments int64 // Limits.MaxFragments
	MessagesTooSlow  int64 // Limits.AssemblyTimeout
	TooManyControls  int64 // Limits.ControlRate
	MemoryWaits      int64 // waits for Shared.Memory
	MessagesEvicted  int64 // closed with 1013 in favour of others that waited for it
}

// Snapshot reads the counters.
func (s *Stats) Snapshot() Snapshot {
	return Snapshot{
		Snapshot: s.Stats.Snapshot(),
		BytesIn:  s.BytesIn.Load(), MessagesIn: s.MessagesIn.Load(),
		PingsSent: s.PingsSent.Load(), PongsMissed: s.PongsMissed.Load(),
		MessagesTooLarge: s.MessagesTooLarge.Load(), TooManyFragments: s.TooManyFragments.Load(),
		MessagesTooSlow: s.MessagesTooSlow.Load(), TooManyControls: s.TooManyControls.Load(),
		MemoryWaits: s.MemoryWaits.Load(), MessagesEvicted: s.MessagesEvicted.Load(),
	}
}
