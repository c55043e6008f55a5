package ws

import (
	"math"
	"math/rand/v2"
	"time"

	"wsfpm/gateway/out"
	"wsfpm/session"
)

// pingFrame is a ping without payload (RFC 6455, 5.5.2). Whatever the client
// sends afterwards shows that it lives, its pong included.
var pingFrame = session.NewEncoding([]byte{fin | opPing, 0})

// probeLooks is how often, within a probe's time, a silent client is looked at.
const probeLooks = 4

// unsentOfSilent is what the system holds for a client whose silence is to be
// judged now, or 0.
func (c *Conn) unsentOfSilent(now time.Duration) int64 {
	c.mu.Lock()
	judge := c.probe.due > 0 && now >= c.probe.due && c.silentLocked() && !c.dead
	c.mu.Unlock()
	if !judge {
		return 0
	}
	unsent, _ := c.out.Socket.Unsent()
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
	if c.late != nil && now >= c.late.due {
		c.sayLateLocked()
	}
	if c.probe.due > 0 && now >= c.probe.due {
		c.judgeLocked(now, unsent, c.out.State())
	}
	if c.pingDue > 0 && now >= c.pingDue {
		c.pingLocked()
	}
	var lateDue time.Duration
	if c.late != nil {
		lateDue = c.late.due
	}
	for _, due := range [...]time.Duration{c.closeDue, lateDue, c.probe.due, c.pingDue} {
		if due > 0 {
			c.out.Arm(due)
		}
	}
}

// schedulePingLocked sets the time of the next ping.
func (c *Conn) schedulePingLocked() {
	c.pingDue = 0
	interval := c.limits.Load().PingInterval
	if interval > 0 && c.out.State().Accepts() {
		c.pingDue = c.shared.Wheel.Now() + jitter(interval)
		c.out.Arm(c.pingDue)
	}
}

// pingLocked queues a ping. Behind frames that wait there is no need for one:
// the write timeout watches over them.
func (c *Conn) pingLocked() {
	c.schedulePingLocked()
	if !c.out.Probe(pingFrame) {
		return
	}
	c.shared.Stats.PingsSent.Add(1)
	if within := c.limits.Load().PongTimeout; within > 0 && c.probe.due == 0 {
		c.probeLocked(within, c.out.State())
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
func (c *Conn) probeLocked(limit time.Duration, o out.State) {
	c.heard.Store(false)
	c.probe = probe{since: c.shared.Wheel.Now(), limit: limit, reads: c.reads, end: o.Sent + o.Waiting, acked: math.MaxInt64}
	c.lookAgainLocked(c.probe.since)
}

// lookAgainLocked sets the next look at a probe.
func (c *Conn) lookAgainLocked(now time.Duration) {
	p := &c.probe
	p.due = min(now+p.limit/probeLooks, p.since+p.limit)
	c.out.Arm(p.due)
}

// silentLocked reports whether one Read has waited since the probe began and
// nothing came. A client that was not listened to is not to blame.
func (c *Conn) silentLocked() bool {
	return c.reads == c.probe.reads && c.reads%2 == 1 && !c.heard.Load() && !c.out.State().Closing
}

// judgeLocked ends the connection of a client that was silent for as long as
// the probe lasts. Its time begins with the last byte of the ping that it takes,
// of which the system still holds so much; and by how much the look comes late
// is this process's time.
func (c *Conn) judgeLocked(now time.Duration, unsent int64, o out.State) {
	p := &c.probe
	late := now - p.due
	p.due = 0
	if !c.silentLocked() {
		if o.Failed {
			c.probeLocked(closeWait, o)
		}
		return
	}
	p.since += late
	acked := o.Sent - unsent
	queued := o.Sent < p.end && c.limits.Load().Out.WriteTimeout > 0 // which watches over it
	if !o.Failed && (queued || p.acked < p.end && acked > p.acked) {
		p.since = now
	}
	p.acked = acked
	if now-p.since < p.limit {
		c.lookAgainLocked(now)
		return
	}
	if !o.Failed {
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
