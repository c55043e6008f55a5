package ws

import (
	"errors"
	"time"

	"wsfpm/gateway/out"
)

// overdue handles an expired read deadline. The process may be late while the input arrived
// in time: the message continues as long as there is input to read without waiting.
func (c *Conn) overdue(err error) error {
	in := &c.input
	if in.held.IsEvicted() {
		return out.ErrNoMemory
	}
	if in.due == 0 {
		return err
	}
	in.err = ErrIdle
	if c.out.Socket.Raw != nil {
		if err := c.out.Socket.Raw.Control(func(fd uintptr) { c.readReady(fd) }); err != nil {
			return err
		}
	}
	if !errors.Is(in.err, ErrIdle) {
		return in.err
	}
	c.shared.Stats.MessagesTooSlow.Add(1)
	return &violation{1008, "message takes too long"}
}

// limitWait sets the read deadline for a wait within a message or frame, and removes it for
// a wait between them. It fails if the message was evicted.
func (c *Conn) limitWait() error {
	in := &c.input
	if in.idle() {
		c.liftLimit()
		return nil
	}
	if most := c.limits.Load().AssemblyTimeout; most > 0 && in.due == 0 {
		c.limitUntil(c.shared.Wheel.Now() + most)
	}
	return in.held.AwaitClient()
}

// limitUntil sets the read deadline of a message or frame.
func (c *Conn) limitUntil(due time.Duration) {
	c.input.due = due
	c.out.Socket.SetReadDeadline(c.shared.Wheel.Time(due))
}

// extendLimit moves the deadline by a delay that the client did not cause.
func (c *Conn) extendLimit(d time.Duration) {
	if c.input.due > 0 {
		c.limitUntil(c.input.due + d)
	}
}

// liftLimit removes the deadline of a message, if any.
func (c *Conn) liftLimit() {
	if c.input.due > 0 {
		c.input.due = 0
		c.out.Socket.SetReadDeadline(time.Time{})
	}
}
