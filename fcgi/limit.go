package fcgi

import "time"

const (
	raiseAfter    = 5 * time.Second // first wait before a lowered limit rises
	raiseAfterMax = 5 * time.Minute
)

// workingLimit is how many workers the pool dares to occupy: the configured
// number, less what turned out not to be there. It falls by one when a new
// connection finds no worker, and rises after a while, by one at first and by twice
// as many each time that goes well. When a rise proves wrong at once the while
// doubles. So a pool configured too large is not tried for ever, and one that was
// only restarting its workers soon has them all back.
type workingLimit struct {
	now        int
	configured int
	wait       time.Duration
	step       int       // of the next rise
	changed    time.Time // by falling or rising
	rose       bool      // the latest change was a rise
}

func newWorkingLimit(n int) workingLimit {
	return workingLimit{now: n, configured: n, wait: raiseAfter, step: 1}
}

// lower takes one worker off and tells whether there was one to spare.
func (l *workingLimit) lower(now time.Time) bool {
	if l.now <= 1 {
		return false
	}
	switch {
	case l.rose && now.Sub(l.changed) < l.wait:
		l.wait = min(2*l.wait, raiseAfterMax)
	case now.Sub(l.changed) > 2*l.wait:
		l.wait = raiseAfter
	}
	l.now--
	l.step = 1
	l.changed, l.rose = now, false
	return true
}

// tick adds workers when the wait is over.
func (l *workingLimit) tick(now time.Time) {
	if l.now < l.configured && now.Sub(l.changed) >= l.wait {
		l.now = min(l.now+l.step, l.configured)
		l.step *= 2
		l.changed, l.rose = now, true
	}
}
