package fcgi

import (
	"cmp"
	"context"
	"time"
)

const (
	// A server that has refused this often, for this long, counts as down. A restart
	// of PHP-FPM is shorter: requests wait for it.
	downFailures = 5
	downAfter    = time.Second
	// tryEvery is the pause between two trials while the server is down.
	tryEvery = 250 * time.Millisecond
	// systemTimeout is longer than an attempt takes that only the system ends.
	systemTimeout = 3 * time.Minute
)

// circuit is a circuit breaker: while the server is down, requests fail without an
// attempt to connect, and trials in the background find out when it is back.
type circuit struct {
	down bool
	// unproven is set when the server has closed a connection without an answer, as a
	// proxy does whose server is gone. Until an answer arrives, each new connection is
	// tested before it carries a request.
	unproven bool
	failures int       // in a row
	since    time.Time // of the first of them
	last     time.Time // of the last of them
}

// failed records a failed attempt and reports whether it opened the circuit. A pause of
// more than gap since the last attempt begins another row: the server may have been up
// meanwhile.
func (c *circuit) failed(now time.Time, gap time.Duration) bool {
	if c.failures == 0 || now.Sub(c.last) > gap {
		c.failures, c.since = 0, now
	}
	c.failures++
	c.last = now
	if c.down || c.failures < downFailures || now.Sub(c.since) < downAfter {
		return false
	}
	c.down = true
	return true
}

// failedLocked records a failed attempt to reach the server. If that opens the circuit,
// trials begin, unless the pool has been closed or retired.
func (p *Pool) failedLocked(err error) {
	gap := downAfter + cmp.Or(p.cfg.DialTimeout, systemTimeout) // attempts of one request are closer
	if p.closed || p.retired || !p.circuit.failed(time.Now(), gap) {
		return
	}
	p.sendLocked(Event{Kind: EventUnreachable, Err: err})
	if !p.trying {
		p.trying = true
		p.running.Go(p.tryAgain)
	}
}

// reachedLocked records that the server has answered.
func (p *Pool) reachedLocked() {
	if p.circuit.down {
		p.sendLocked(Event{Kind: EventReachable})
	}
	p.circuit = circuit{}
}

// tryAgain makes one trial at a time until the circuit is closed.
func (p *Pool) tryAgain() {
	p.repeat(func() time.Duration { return tryEvery }, p.tryFree)
}

// tryFree makes a trial if a slot is free. It reports whether to continue.
func (p *Pool) tryFree() (again bool) {
	p.mu.Lock()
	p.trying = p.circuit.down
	again, free := p.trying, p.open < p.limit.now
	s := slot{cfg: p.cfg, epoch: p.epoch, since: time.Now()}
	wait := s.cfg.Timeout
	if p.probing == probeFails { // there will be no answer
		wait = probeAnswer
	}
	ctx := p.ctx
	if again && free {
		p.open++
		p.trial = 1
		ctx, p.endTrial = context.WithCancel(p.ctx)
		defer p.endTrial()
	}
	p.mu.Unlock()
	if again && free {
		p.try(ctx, s, wait)
	}
	return again
}

// try makes a trial in s: it tests a new connection. If that is neither answered nor
// closed within wait, requests find out more: the server may ignore probes. When the pool
// moves to another server, ctx ends.
func (p *Pool) try(ctx context.Context, s slot, wait time.Duration) {
	c, err := p.openConn(ctx, &s, wait)
	p.mu.Lock()
	p.trial, p.endTrial = 0, nil
	unclear := err == nil && !c.probe
	if unclear && c.epoch == p.epoch {
		p.reachedLocked()
	}
	p.mu.Unlock()
	if unclear {
		p.drop(c)
	} else {
		s.conn = c
	}
	p.giveBack(s)
}
