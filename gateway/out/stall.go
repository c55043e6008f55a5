package out

import "time"

// looks is how often, within a write timeout, the system is asked for the
// progress of a client that a write waits for. The system reports room only
// when a good part of its buffer, up to megabytes, is free.
const looks = 10

// stall is how long a client has taken nothing of what waits for it, as far as
// a writer that waits knows. What it takes are the bytes that its system
// acknowledges.
type stall struct {
	since  time.Time // when it last took something
	due    time.Time // when to look again
	unsent int64     // what the system held at the last look; -1: no look since the last write
}

// took notes a write: the client has made room for it.
func (s *stall) took(now time.Time) {
	s.since, s.unsent = now, -1
}

// next is when to look again with that timeout; a zero time is never.
func (s *stall) next(now time.Time, timeout time.Duration, can bool) time.Time {
	switch {
	case timeout <= 0:
		s.due = time.Time{}
	case can:
		s.due = now.Add(timeout / looks)
	default:
		s.due = now.Add(timeout)
	}
	return s.due
}

// over looks, and reports whether the client has taken nothing for as long as
// the timeout. By how much the look comes late is this process's time, not the
// client's.
func (s *stall) over(now time.Time, timeout time.Duration, unsent int64, known bool) bool {
	s.since = s.since.Add(now.Sub(s.due))
	if known {
		if unsent < s.unsent {
			s.since = now
		}
		s.unsent = unsent
	}
	return now.Sub(s.since) >= timeout
}
