package gateway

import (
	"runtime/debug"
	"sync/atomic"
	"time"

	"wsfpm/gateway/config"
	"wsfpm/session"
)

// sweep closes connections that exceed limits.lifetime or limits.idle. It checks all of
// them periodically, at a twentieth of the shorter limit and at least every ten seconds, so
// that no connection needs a timer.
func (g *Gateway) sweep() {
	for {
		select {
		case <-time.After(sweepInterval(&g.settings.Load().Limits)):
		case <-g.resettled: // without a delay, else frequent reloads would postpone it for ever
		case <-g.stop:
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

// sweepInterval returns the period of sweep.
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

// overdue returns the close frame for a connection that exceeds a limit, or nil, and the
// counter of that limit. A connection whose handler runs is not idle.
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

// lifetime returns limits.lifetime ± 10 %, constant for one connection, so that connections
// that began together do not end together.
func (c *connection) lifetime(l *config.Limits) time.Duration {
	const steps = 1 << 10
	offset := float64(c.session.Pin()%steps)/steps - 0.5
	return time.Duration(float64(l.Lifetime) * (1 + offset/5))
}

// releaseMemory closes removed pools that are no longer used, and returns the memory of
// handshakes to the system. Each handshake leaves about 10 KB of garbage, which Go would
// collect when the heap has doubled or after two minutes, and return later still. After a
// wave of new connections it is therefore collected and returned at once.
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

// wave detects the end of a wave of new connections.
type wave struct {
	seen  int64 // connections opened since the start, at the last call
	began int64 // the same at the end of the last wave
}

// over is called periodically and reports whether enough connections were opened since the
// last wave, and less than a twentieth of them since the last call.
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
