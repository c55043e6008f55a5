package fcgi

import (
	"slices"
	"time"
)

// sweepEvery is how often idle connections are looked at. A worker that PHP-FPM
// recycles is not replaced before we have closed its connection.
const sweepEvery = 250 * time.Millisecond

// sweepLocked starts the sweeper when there is work for it.
func (p *Pool) sweepLocked() {
	if !p.sweeping && p.unsweptLocked() {
		p.sweeping = true
		p.running.Go(p.sweep)
	}
}

// unsweptLocked tells whether there is work for the sweeper: idle connections, or
// requests that wait for a lowered limit to rise.
func (p *Pool) unsweptLocked() bool {
	return len(p.idle) > 0 || p.queue.total > 0 && p.limit.now < p.limit.configured
}

// sweep closes idle connections that have expired or that the server has closed,
// and lets a lowered limit rise while all slots are held for long, as by streams.
// It runs only while there is work for it.
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
		now := time.Now()
		p.limit.tick(now)
		drop := p.staleLocked(now.Add(every)) // before the time is over, not after
		drop = p.settleIdleLocked(drop)
		p.sweeping = p.unsweptLocked()
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
	if !p.cfg.reuses() {
		return sweepEvery
	}
	return min(sweepEvery, max(p.cfg.IdleTimeout/4, time.Millisecond))
}

// staleLocked takes out the idle connections that are of no more use at that time.
// Looking at a socket does not block.
func (p *Pool) staleLocked(at time.Time) (drop []*conn) {
	p.idle = slices.DeleteFunc(p.idle, func(c *conn) bool {
		closed := c.sock.readable()
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
