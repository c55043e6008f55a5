package gateway

import (
	"runtime/debug"
	"sync/atomic"
	"time"

	"wsfpm/gateway/config"
	"wsfpm/session"
)

// sweep closes connections that have lasted, or have been idle, for as long as
// the limits allow. It looks at all of them twenty times within the shorter
// limit, every ten seconds at least, so that no connection needs a timer.
func (g *Gateway) sweep() {
	for {
		timer := time.NewTimer(sweepInterval(&g.settings.Load().Limits))
		select {
		case <-timer.C:
		case <-g.resettled: // looks at once, else reloads in quick succession put it off for ever
			timer.Stop()
		case <-g.stop:
			timer.Stop()
			return
		}
		l := &g.settings.Load().Limits
		if l.Lifetime <= 0 && l.Idle <= 0 {
			continue
		}
		now := time.Now()
		for _, c := range g.clients() {
			if with, reached := c.overdue(l, now); with != nil && c.expire() {
				reached.Add(1)
				g.loops.Go(func() { c.drainConn(*with) })
			}
		}
	}
}

// sweepInterval is the time between two looks at all connections.
func sweepInterval(l *config.Limits) time.Duration {
	const most, least = 10 * time.Second, time.Millisecond
	interval := most
	for _, limit := range [...]config.Duration{l.Lifetime, l.Idle} {
		if limit > 0 {
			interval = min(interval, time.Duration(limit)/20)
		}
	}
	return max(interval, least)
}

// overdue is how the limits want the connection to be closed now, or nil, and the
// counter of the limit that was reached. A connection whose handler runs is not idle.
func (c *connection) overdue(l *config.Limits, now time.Time) (with *session.Close, reached *atomic.Int64) {
	quiet, open := c.socket.Quiet()
	switch {
	case !open:
		return nil, nil
	case l.Lifetime > 0 && now.Sub(c.since) >= c.lifetime(l):
		return &closeExpired, &c.g.stats.reached.lifetime
	case l.Idle > 0 && quiet >= time.Duration(l.Idle) && !c.inbox.isBusy():
		return &closeIdle, &c.g.stats.reached.idle
	}
	return nil, nil
}

// lifetime is limits.lifetime give or take a tenth, always the same for one
// connection, so that those which came together do not leave together.
func (c *connection) lifetime(l *config.Limits) time.Duration {
	const steps = 1 << 10
	offset := float64(c.session.Pin()%steps)/steps - 0.5
	return time.Duration(float64(l.Lifetime) * (1 + offset/5))
}

// expire reports whether it is called for the first time: the connection ends once.
func (c *connection) expire() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.expired
	c.expired = true
	return first
}

// releaseMemory lets pools go that were taken away and are not used any more, and gives
// memory back that handshakes have used. Each leaves about 10 KB
// behind, which Go's collector would come for when the heap has doubled, or
// two minutes later, and return to the system later still. So when many have
// come, and few come now, everything is collected and returned at once.
func (g *Gateway) releaseMemory() {
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	var w wave
	for {
		select {
		case <-ticker.C:
			g.letGo()
			if w.over(g.stats.opened.Load()) {
				debug.FreeOSMemory()
			}
		case <-g.stop:
			return
		}
	}
}

// wave finds the end of a time in which many connections came.
type wave struct {
	seen  int64 // connections opened since the start, when it was last asked
	began int64 // the same at the end of the last wave
}

// over is asked at even times and reports whether enough have come since the
// last wave, and less than a twentieth of them since it was last asked.
func (w *wave) over(opened int64) bool {
	const enough = 1000
	fresh, all := opened-w.seen, opened-w.began
	w.seen = opened
	if all < enough || fresh >= all/20 {
		return false
	}
	w.began = opened
	return true
}
