package ws

import (
	"math"
	"math/rand/v2"
	"time"

	"wsfpm/gateway/out"
	"wsfpm/session"
)

// pingFrame is a ping without payload (RFC 6455, 5.5.2). Any later input from the client
// counts as its answer.
var pingFrame = session.NewEncoding([]byte{fin | opPing, 0})

// probeLooks is the number of checks of a silent client per probe.
const probeLooks = 4

// unsentOfSilent returns the size of the kernel's send queue for a client whose probe is
// due, or 0.
func (c *Conn) unsentOfSilent(now time.Duration) int64 {
	c.mu.Lock()
	judge := c.probe != nil && now >= c.probe.due && c.silentLocked() && !c.dead
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
	if c.probe != nil && now >= c.probe.due {
		c.judgeLocked(now, unsent, c.out.State())
	}
	if c.pingDue > 0 && now >= c.pingDue {
		c.pingLocked()
	}
	c.lookAtClockLocked()
	var lateDue, probeDue time.Duration
	if c.late != nil {
		lateDue = c.late.due
	}
	if c.probe != nil {
		probeDue = c.probe.due
	}
	for _, due := range [...]time.Duration{c.closeDue, lateDue, probeDue, c.pingDue} {
		if due > 0 {
			c.out.Arm(due)
		}
	}
}

// schedulePingLocked schedules the next ping.
func (c *Conn) schedulePingLocked() {
	c.pingDue = 0
	interval := c.limits.Load().PingInterval
	if interval > 0 && c.out.State().Accepts() {
		c.pingDue = c.shared.Wheel.Now() + jitter(interval)
		c.out.Arm(c.pingDue)
	}
}

// pingLocked queues a ping if the queue is empty. Otherwise the write timeout detects a
// dead client.
func (c *Conn) pingLocked() {
	c.schedulePingLocked()
	if !c.out.Probe(pingFrame) {
		return
	}
	if c.pinged != nil {
		c.todo |= doTell
	}
	c.shared.Stats.PingsSent.Add(1)
	if within := c.limits.Load().PongTimeout; within > 0 && c.probe == nil {
		c.probeLocked(within, c.out.State())
	}
}

// probe is the wait for a sign of life. It is guarded by Conn.mu.
type probe struct {
	due   time.Duration // the next check
	since time.Duration // when the time limit began
	limit time.Duration // its length
	reads uint32        // Conn.reads when the probe began
	end   int64         // position of the end of the ping in the output stream
	acked int64         // position acknowledged at the last check
}

// probeLocked starts a probe, whose time begins when the client has received all that is
// written or queued.
func (c *Conn) probeLocked(limit time.Duration, o out.State) {
	c.heard.Store(false)
	c.probe = &probe{since: c.shared.Wheel.Now(), limit: limit, reads: c.reads, end: o.Sent + o.Waiting, acked: math.MaxInt64}
	c.lookAgainLocked(c.probe.since)
}

// lookAgainLocked schedules the next check of the probe.
func (c *Conn) lookAgainLocked(now time.Duration) {
	p := c.probe
	p.due = min(now+p.limit/probeLooks, p.since+p.limit)
	c.out.Arm(p.due)
}

// silentLocked reports whether one Read has waited since the probe began and no input has
// arrived. A client that was not read from does not count as silent.
func (c *Conn) silentLocked() bool {
	return c.reads == c.probe.reads && c.reads%2 == 1 && !c.heard.Load() && !c.out.State().Closing
}

// judgeLocked closes the connection if the client was silent for the time of the probe.
// That time begins when the client has acknowledged the last byte of the ping, of which
// unsent bytes are in the kernel's send queue; the delay of a late check does not count.
func (c *Conn) judgeLocked(now time.Duration, unsent int64, o out.State) {
	p, late := c.probe, now-c.probe.due
	if !c.silentLocked() {
		if c.probe = nil; o.Failed {
			c.probeLocked(closeWait, o)
		}
		return
	}
	p.since += late
	acked := o.Sent - unsent
	queued := o.Sent < p.end && c.limits.Load().Out.WriteTimeout > 0 // bounded by the write timeout
	if !o.Failed && (queued || p.acked < p.end && acked > p.acked) {
		p.since = now
	}
	p.acked = acked
	if now-p.since < p.limit {
		c.lookAgainLocked(now)
		return
	}
	c.probe = nil
	if !o.Failed {
		c.shared.Stats.PongsMissed.Add(1)
	}
	c.cause.set(1006, "")
	c.todo |= doShut
}

// jitter returns d ± 10 %, so that connections that began together do not ping together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)/5*float64(d))
}
