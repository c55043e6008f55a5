package fcgi

import (
	"slices"
	"time"
)

// sweepEvery is how often idle connections are looked at. A worker that PHP-FPM
// recycles is not replaced before we have closed its connection.
const sweepEvery = 250 * time.Millisecond

// sweep closes idle connections that have expired or that the server has closed.
// It runs only while there are any.
func (p *Pool) sweep() {
	timer := time.NewTimer(p.sweepInterval())
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-p.closing:
			return
		}
		every := p.sweepInterval()
		timer.Reset(every)
		p.mu.Lock()
		drop := p.staleLocked(time.Now().Add(every)) // before the time is over, not after
		p.sweeping = len(p.idle) > 0
		done := !p.sweeping
		p.mu.Unlock()
		p.drop(drop...)
		if done {
			return
		}
	}
}

// sweepInterval is shorter for connections that are kept for a short time.
func (p *Pool) sweepInterval() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return min(sweepEvery, max(p.cfg.IdleTimeout/4, time.Millisecond))
}

// staleLocked takes out the idle connections that are of no more use at that time.
// Looking at a socket does not block.
func (p *Pool) staleLocked(at time.Time) (drop []*conn) {
	p.idle = slices.DeleteFunc(p.idle, func(c *conn) bool {
		closed := c.sock.closed()
		if closed {
			p.stats.Recycles++
		}
		if closed || at.Sub(c.idleSince) > p.cfg.IdleTimeout {
			drop = append(drop, c)
			return true
		}
		return false
	})
	return drop
}
