package ws

import (
	"math/rand/v2"
	"time"
)

// pingFrame is a ping without payload (RFC 6455, 5.5.2). Whatever the client
// sends afterwards shows that it lives, its pong included.
var pingFrame = []byte{0x80 | opPing, 0}

// tick does what is due at a connection's turn.
func (c *Conn) tick(now time.Duration) {
	c.mu.Lock()
	c.tickLocked(now)
	c.unlock()
	c.Flush()
}

func (c *Conn) tickLocked(now time.Duration) {
	if c.dead {
		return
	}
	if c.closeDue > 0 && now >= c.closeDue {
		c.todo |= doShut
		return
	}
	if c.late.frame != nil && now >= c.late.due {
		c.sayLateLocked()
	}
	if c.probeDue > 0 && now >= c.probeDue {
		c.judgeLocked()
	}
	if c.pingDue > 0 && now >= c.pingDue {
		c.pingLocked()
	}
	for _, due := range [...]time.Duration{c.closeDue, c.late.due, c.probeDue, c.pingDue} {
		if due > 0 {
			c.shared.Wheel.arm(c, due)
		}
	}
}

// schedulePingLocked sets the time of the next ping.
func (c *Conn) schedulePingLocked() {
	c.pingDue = 0
	interval := c.limits.Load().PingInterval
	if interval > 0 && c.outbox.accepts() {
		c.pingDue = c.shared.Wheel.now() + jitter(interval)
		c.shared.Wheel.arm(c, c.pingDue)
	}
}

// pingLocked queues a ping. Behind frames that wait there is no need for one:
// the write timeout watches over them.
func (c *Conn) pingLocked() {
	c.schedulePingLocked()
	if !c.outbox.accepts() || !c.outbox.empty() {
		return
	}
	c.outbox.add(pingFrame, ping)
	c.shared.Stats.PingsSent.Add(1)
	if within := c.limits.Load().PongTimeout; within > 0 && c.probeDue == 0 {
		c.probeLocked(within)
	}
}

// probeLocked begins to wait for a sign of life.
func (c *Conn) probeLocked(d time.Duration) {
	c.heard.Store(false)
	c.probed = c.reads
	c.probeDue = c.shared.Wheel.now() + d
	c.shared.Wheel.arm(c, c.probeDue)
}

// judgeLocked ends the connection when one Read has waited since the probe
// began and nothing came. A client that nobody listened to is not to blame.
func (c *Conn) judgeLocked() {
	c.probeDue = 0
	listened := c.reads == c.probed && c.reads%2 == 1
	switch {
	case listened && !c.heard.Load() && !c.outbox.closing:
		if !c.outbox.failed {
			c.shared.Stats.PongsMissed.Add(1)
		}
		c.cause.set(1006, "")
		c.todo |= doShut
	case c.outbox.failed:
		c.probeLocked(closeWait)
	}
}

// jitter is d give or take a tenth, so that connections that began together
// do not ping together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)/5*float64(d))
}
