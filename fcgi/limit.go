package fcgi

import "time"

const (
	raiseAfter    = 5 * time.Second // first wait before a lowered limit rises
	raiseAfterMax = 5 * time.Minute
)

// workingLimit is the adaptive concurrency limit: the current number of usable workers,
// at most MaxConnections. It falls to the number of workers that shortage has measured.
// It rises at once to a larger number that was observed, and otherwise after a wait, by
// one at first and then by twice as many each time. If such a rise fails immediately
// the wait doubles (exponential backoff). So a pool that is configured too large is not
// probed for ever, and one that was restarting its workers soon has all of them again.
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

// lower sets the limit to n and reports whether that changed it.
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

// tick raises the limit when the wait is over.
func (l *workingLimit) tick(now time.Time) {
	if l.now < l.configured && now.Sub(l.changed) >= l.wait {
		l.now = min(l.now+l.step, l.configured)
		l.step *= 2
		l.changed, l.rose = now, true
	}
}

// seen records that n workers were observed and reports whether that raised the limit.
func (l *workingLimit) seen(n int, now time.Time) bool {
	if n = min(n, l.configured); n <= l.now {
		return false
	}
	l.now = n
	l.changed, l.rose = now, false
	return true
}
