package ws

import (
	"math"
	"math/rand/v2"
	"time"

	"wsfpm/session"
)

// pingFrame is a ping without payload (RFC 6455, 5.5.2). Whatever the client
// sends afterwards shows that it lives, its pong included.
var pingFrame = session.NewEncoding([]byte{fin | opPing, 0})

// probeLooks is how often, within a probe's time, a silent client is looked at.
const probeLooks = 4

// tick does what is due at a connection's turn.
func (c *Conn) tick(now time.Duration) {
	unsent := c.unsentOfSilent(now)
	c.mu.Lock()
	c.tickLocked(now, unsent)
	c.unlock()
	c.Flush()
}

// unsentOfSilent is what the system holds for a client whose silence is to be
// judged now, or 0.
func (c *Conn) unsentOfSilent(now time.Duration) int64 {
	c.mu.Lock()
	judge := c.probe.due > 0 && now >= c.probe.due && c.silentLocked() && !c.dead
	c.mu.Unlock()
	if !judge {
		return 0
	}
	unsent, _ := c.unsent()
	return unsent
}

func (c *Conn) tickLocked(now time.Duration, unsent int64) {
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
	if c.probe.due > 0 && now >= c.probe.due {
		c.judgeLocked(now, unsent)
	}
	if c.pingDue > 0 && now >= c.pingDue {
		c.pingLocked()
	}
	for _, due := range [...]time.Duration{c.closeDue, c.late.due, c.probe.due, c.pingDue} {
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
	if within := c.limits.Load().PongTimeout; within > 0 && c.probe.due == 0 {
		c.probeLocked(within)
	}
}

// probe is the wait for a sign of life. It is guarded by Conn.mu.
type probe struct {
	due   time.Duration // when the client's silence is judged; 0: not at all
	since time.Duration // when the time for the sign began
	limit time.Duration // how long it is
	reads uint32        // Conn.reads when the probe began
	end   int64         // the place of the ping's end in all that is written
	acked int64         // up to where the client had taken it at the last look
}

// probeLocked begins to wait for a sign of life, which may come when all is
// taken that has been written or waits.
func (c *Conn) probeLocked(limit time.Duration) {
	c.heard.Store(false)
	c.probe = probe{since: c.shared.Wheel.now(), limit: limit, reads: c.reads, end: c.outbox.sent + c.outbox.bytes, acked: math.MaxInt64}
	c.lookAgainLocked(c.probe.since)
}

// lookAgainLocked sets the next look at a probe.
func (c *Conn) lookAgainLocked(now time.Duration) {
	p := &c.probe
	p.due = min(now+p.limit/probeLooks, p.since+p.limit)
	c.shared.Wheel.arm(c, p.due)
}

// silentLocked reports whether one Read has waited since the probe began and
// nothing came. A client that nobody listened to is not to blame.
func (c *Conn) silentLocked() bool {
	return c.reads == c.probe.reads && c.reads%2 == 1 && !c.heard.Load() && !c.outbox.closing
}

// judgeLocked ends the connection of a client that was silent for as long as
// the probe lasts. Its time begins with the last byte of the ping that it takes,
// of which the system still holds so much; and by how much the look comes late
// is this process's time.
func (c *Conn) judgeLocked(now time.Duration, unsent int64) {
	p, o := &c.probe, &c.outbox
	late := now - p.due
	p.due = 0
	if !c.silentLocked() {
		if o.failed {
			c.probeLocked(closeWait)
		}
		return
	}
	p.since += late
	acked := o.sent - unsent
	queued := o.sent < p.end && c.limits.Load().WriteTimeout > 0 // which watches over it
	if !o.failed && (queued || p.acked < p.end && acked > p.acked) {
		p.since = now
	}
	p.acked = acked
	if now-p.since < p.limit {
		c.lookAgainLocked(now)
		return
	}
	if !o.failed {
		c.shared.Stats.PongsMissed.Add(1)
	}
	c.cause.set(1006, "")
	c.todo |= doShut
}

// jitter is d give or take a tenth, so that connections that began together
// do not ping together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)/5*float64(d))
}
