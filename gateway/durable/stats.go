package durable

import (
	"sync/atomic"
	"time"
)

// Stats are the state of a log and its counters since New.
type Stats struct {
	// State is "loading", "live", "down" (Redis is not reached), "shut" (a right is
	// missing) or "off" (there is no log).
	State string
	// Entries and Bytes are what the window holds, Span the time between its oldest entry
	// and its newest.
	Entries int
	Bytes   int64
	Span    time.Duration
	// Lag is the age of the newest entry when it was read, by the clock of the log; 0 after a
	// round that found none.
	Lag time.Duration
	// Ahead is how far the time of the newest entry lies ahead of that clock, else 0. Such an
	// entry, and all after it, count from when they were read: after a restart as new ones.
	Ahead time.Duration
	// Read is the number of entries read, Appended and Failed that of those given to
	// Append.
	Read, Appended, Failed uint64
	// Bad are the entries that were dropped, Gaps the gaps, both by reason.
	Bad, Gaps map[string]uint64
}

// NoStats are the Stats of a process without a log.
func NoStats() Stats {
	return Stats{State: "off", Bad: values(newCounters(reasons)), Gaps: values(newCounters(gapReasons))}
}

// Stats returns a snapshot.
func (l *Log) Stats() Stats {
	m := l.window.measure()
	s := Stats{
		Entries: m.entries, Bytes: m.bytes, Span: m.span,
		Lag:  max(0, time.Duration(l.counts.lag.Load())*time.Millisecond),
		Read: l.counts.read.Load(), Appended: l.counts.appended.Load(), Failed: l.counts.failed.Load(),
		Bad: values(l.counts.bad), Gaps: values(l.counts.gaps),
	}
	if m.entries > 0 {
		// In floating point: an id may be any number of milliseconds.
		s.Ahead = time.Duration(min(max(float64(m.newest.Milli)-float64(l.window.now()), 0), 1e12)) * time.Millisecond
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.State = string(l.state)
	return s
}

func values(counters map[string]*atomic.Uint64) map[string]uint64 {
	out := make(map[string]uint64, len(counters))
	for name, c := range counters {
		out[name] = c.Load()
	}
	return out
}
