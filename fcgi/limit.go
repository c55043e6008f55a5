package fcgi

import "time"

const (
	raiseAfter    = 10 * time.Second // first wait before a lowered limit rises by one
	raiseAfterMax = 5 * time.Minute
)

// workingLimit is how many workers the pool dares to occupy: the configured
// number, less what turned out not to be there. It falls by one when a new
// connection finds no worker, and rises by one after a while; the while doubles
// each time, so that a pool configured too large is not tried for ever.
type workingLimit struct {
	now        int
	configured int
	changed    time.Time
	wait       time.Duration
}

func newWorkingLimit(n int) workingLimit {
	return workingLimit{now: n, configured: n, wait: raiseAfter}
}

// lower takes one worker off and tells whether there was one to spare.
func (l *workingLimit) lower(now time.Time) bool {
	if l.now <= 1 {
		return false
	}
	if !l.changed.IsZero() {
		l.wait = min(2*l.wait, raiseAfterMax)
	}
	l.now--
	l.changed = now
	return true
}

// tick adds a worker when the wait is over.
func (l *workingLimit) tick(now time.Time) {
	if l.now < l.configured && now.Sub(l.changed) >= l.wait {
		l.now++
		l.changed = now
	}
}
