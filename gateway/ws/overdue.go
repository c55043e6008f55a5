package ws

import (
	"errors"
	"time"

	"wsfpm/gateway/out"
)

// overdue is what the end of a read deadline means. What the client has sent in
// time may be there, and this process late: the message goes on for as long as
// there is something to read at once.
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

// limitWait sets the read deadline when the wait is for the rest of a message
// or frame, and lifts it when it is for a new one. It fails when the message
// has to give way.
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

// extendLimit gives a message the time back that was not its client's.
func (c *Conn) extendLimit(d time.Duration) {
	if c.input.due > 0 {
		c.limitUntil(c.input.due + d)
	}
}

// liftLimit takes the deadline of a message away when it has one.
func (c *Conn) liftLimit() {
	if c.input.due > 0 {
		c.input.due = 0
		c.out.Socket.SetReadDeadline(time.Time{})
	}
}
