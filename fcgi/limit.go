package fcgi

import "time"

const (
	raiseAfter    = 5 * time.Second // first wait before a lowered limit rises
	raiseAfterMax = 5 * time.Minute
)

// workingLimit is how many workers the pool dares to occupy: the configured
// number, less what turned out not to be there. It falls by one when a new
// connection finds no worker. It rises at once to what has been seen, when the
// workers came after all, and otherwise after a while, by one at first and by twice
// as many each time that goes well. When such a rise proves wrong at once the while
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

// seen says that n workers are there, and tells whether that is news.
func (l *workingLimit) seen(n int, now time.Time) bool {
	if n = min(n, l.configured); n <= l.now {
		return false
	}
	l.now = n
	l.changed, l.rose = now, false
	return true
}

// stalled takes note of a new connection that no worker came for within stallAfter:
// there are fewer than we thought, and our own idle ones make way.
func (p *Pool) stalled(r *Response) {
	c := r.slot.conn
	p.mu.Lock()
	if c.epoch != p.epoch { // says nothing about the server at the new address
		p.mu.Unlock()
		return
	}
	p.stats.Stalls++
	p.missing++
	c.missed = func() { p.found(c) }
	if p.limit.lower(time.Now()) {
		p.sendLocked(Event{
			Kind: EventStalled, Script: r.script, ID: r.id,
			Limit: p.limit.now, Config: p.cfg.MaxConnections,
		})
	}
	drop := p.settleIdleLocked(nil)
	p.mu.Unlock()
	p.drop(drop...)
}

// found takes note of the worker that came for a stalled connection. With those
// that our other connections hold at this moment it proves how many there are.
func (p *Pool) found(c *conn) {
	p.mu.Lock()
	var drop []*conn
	if c.epoch == p.epoch {
		p.missing--
		if p.limit.seen(int(p.held.Load()), time.Now()) {
			drop = p.settleIdleLocked(drop)
		}
	}
	p.mu.Unlock()
	p.drop(drop...)
}
