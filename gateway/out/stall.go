package out

import "time"

// looks is the number of times per write timeout at which the kernel's send queue is polled
// for progress: the kernel reports the socket writable only when a large part of its
// buffer, up to megabytes, is free.
const looks = 10

// stall measures how long a client has made no progress while a write waits for it.
// Progress is what the client's kernel acknowledges.
type stall struct {
	since  time.Time // the last progress
	due    time.Time // the next poll
	unsent int64     // send queue at the last poll; -1: none since the last write
}

// took notes a write, which is progress.
func (s *stall) took(now time.Time) {
	s.since, s.unsent = now, -1
}

// next returns the time of the next poll; zero is never.
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

// over reports whether the client has made no progress for the timeout. The delay of a late
// poll does not count.
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
