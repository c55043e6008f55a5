package ws

import "time"

// answerWait is how long a Close frame that the client waits for is kept back
// for an answer that is still being made. Clients give up soon.
const answerWait = time.Second

// late is a Close frame that waits for the owner's answers.
type late struct {
	frame   []byte // nil: none waits
	refusal bool   // the client broke a rule; else it has closed
	due     time.Duration
}

// Owe says that the owner is making an answer to what Read has returned. When
// the client then closes or breaks a rule, the Close frame that ends the
// connection goes out behind that answer, as the RFC allows (RFC 6455, 5.5.1),
// but a second later at most. Each Owe is followed by one [Conn.Settle]. It is
// called by the goroutine that calls Read.
func (c *Conn) Owe() {
	c.mu.Lock()
	c.owed++
	c.mu.Unlock()
}

// Settle says that an answer has been queued, or will not come.
func (c *Conn) Settle() {
	c.mu.Lock()
	c.owed--
	if c.owed == 0 {
		c.sayLateLocked()
	}
	c.unlock()
	c.Flush()
}

// keepBackLocked keeps the last Close frame back when an answer is due. It
// reports false when none is.
func (c *Conn) keepBackLocked(frame []byte, refusal bool) bool {
	if c.owed == 0 || c.dead || !c.outbox.accepts() {
		return false
	}
	c.late = late{frame: frame, refusal: refusal, due: c.shared.Wheel.now() + answerWait}
	c.shared.Wheel.arm(c, c.late.due)
	return true
}

// sayLateLocked queues the Close frame that was kept back. A Close of the
// owner's that came meanwhile stands.
func (c *Conn) sayLateLocked() {
	l := c.late
	if l.frame == nil {
		return
	}
	c.late = late{}
	if c.outbox.accepts() && !c.dead {
		c.outbox.close(l.frame)
	}
	if l.refusal {
		c.lingerLocked()
	}
	c.endLocked()
}
