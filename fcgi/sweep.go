package fcgi

import (
	"slices"
	"time"
)

// sweepEvery is the interval at which idle connections are checked. PHP-FPM does not
// replace a recycled worker before its connection is closed.
const sweepEvery = 250 * time.Millisecond

// sweepLocked starts the sweeper if there is work for it.
func (p *Pool) sweepLocked() {
	if !p.sweeping && p.unsweptLocked() {
		p.sweeping = true
		p.running.Go(p.sweep)
	}
}

// unsweptLocked reports whether there is work for the sweeper: idle connections, or
// requests that wait for a lowered limit to rise.
func (p *Pool) unsweptLocked() bool {
	return len(p.idle) > 0 || p.queue.total > 0 && p.limit.now < p.limit.configured
}

// sweep closes idle connections that have expired or that the server has closed, and
// raises a lowered limit while all slots are held for long, for example by streams. It
// runs only while there is work.
func (p *Pool) sweep() {
	p.repeat(p.sweepInterval, func() (again bool) {
		every := p.sweepInterval()
		p.mu.Lock()
		now := time.Now()
		p.limit.tick(now)
		drop := p.staleLocked(now.Add(every)) // rather early than late
		drop = p.settleIdleLocked(drop)
		p.sweeping = p.unsweptLocked()
		again = p.sweeping
		p.mu.Unlock()
		p.drop(drop...)
		return again
	})
}

// repeat waits for the interval and calls step, until step returns false or the pool is
// closed. The next interval begins when step has returned.
func (p *Pool) repeat(interval func() time.Duration, step func() (again bool)) {
	timer := time.NewTimer(interval())
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-p.ctx.Done():
			return
		}
		if !step() {
			return
		}
		timer.Reset(interval())
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

// staleLocked removes the idle connections that are unusable or will have expired at
// that time. Checking a socket does not block.
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
