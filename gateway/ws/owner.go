package ws

import (
	"time"

	"wsfpm/session"
)

// owner implements [out.Owner] for a connection.
type owner Conn

// TooSlow implements [out.Owner].
func (o *owner) TooSlow() *session.Encoding {
	return session.NewEncoding(closeFrame((*Conn)(o).slowCode(), slowReason))
}

// Slow implements [out.Owner]: a Close frame is queued, or the socket is about to be
// closed.
func (o *owner) Slow() bool {
	c := (*Conn)(o)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return false
	}
	within := c.limits.Load().Out.WriteTimeout
	if within <= 0 {
		within = closeWait
	}
	c.closeWithinLocked(within)
	return c.cause.set(c.slowCode(), slowReason)
}

// Done implements [out.Owner]. After a failed write the client has closed the socket; Read
// still handles what it sent before, and ends the connection.
func (o *owner) Done(err error) {
	c := (*Conn)(o)
	c.mu.Lock()
	defer c.unlock()
	if c.dead {
		return
	}
	c.endLocked()
	if err != nil {
		c.probeLocked(closeWait, c.out.State())
		c.closeWithinLocked(lastWords)
	}
}

// Tick implements [out.Owner].
func (o *owner) Tick(now time.Duration) {
	c := (*Conn)(o)
	unsent := c.unsentOfSilent(now)
	c.mu.Lock()
	c.tickLocked(now, unsent)
	c.unlock()
	c.Flush()
}

// CloseNow implements [out.Owner].
func (o *owner) CloseNow() { (*Conn)(o).CloseNow() }

// slowCode returns the close code of a client that reads too slowly.
func (c *Conn) slowCode() int {
	if code := c.limits.Load().SlowCode; code != 0 {
		return code
	}
	return 4408
}
