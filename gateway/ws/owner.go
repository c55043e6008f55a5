package ws

import "time"

// owner is the connection as its outlet sees it.
type owner Conn

// Slow implements [out.Owner]: the client is sent a Close frame, or the socket is about
// to be closed.
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
	return c.cause.set(slowCode, slowReason)
}

// Done implements [out.Owner]. When a write has failed, the client has closed the
// socket: what it sent before is still there to be read, so the end is left to Read.
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
