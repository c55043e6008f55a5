package fcgi

import "time"

const (
	raiseAfter    = 5 * time.Second // first wait before a lowered limit rises
	raiseAfterMax = 5 * time.Minute
)

// workingLimit is the adaptive concurrency limit: how many workers may be occupied,
// the configured number or, when there turned out to be fewer (see shortage), as
// many as there are. It rises at once to what has been seen, when the workers came
// after all, and otherwise after a while, by one at first and by twice as many each
// time that goes well. When such a rise proves wrong at once the while doubles. So
// a pool configured too large is not tried for ever, and one that was only
// restarting its workers soon has them all back.
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

// lower makes n the limit and reports whether that is news.
func (l *workingLimit) lower(n int, now time.Time) bool {
	if n < 1 || n >= l.now {
		return false
	}
	switch {
	case l.rose && now.Sub(l.changed) < l.wait:
		l.wait = min(2*l.wait, raiseAfterMax)
	case now.Sub(l.changed) > 2*l.wait:
		l.wait = raiseAfter
	}
	l.now = n
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

// seen says that n workers are there, and tells whether that is news.
func (l *workingLimit) seen(n int, now time.Time) bool {
	if n = min(n, l.configured); n <= l.now {
		return false
	}
	l.now = n
	l.changed, l.rose = now, false
	return true
}
