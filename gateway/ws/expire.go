package ws

import "time"

// clockLook is the longest time between two looks at the wall clock, which may be set, and
// goes on while a suspended machine's timers do not.
const clockLook = time.Minute

// expiry is the time at which the owner wants to end the connection.
type expiry struct {
	at   time.Time // on the wall clock
	call func()
}

// Expire has passed called once the wall clock reads at, which may be before now, at most a
// minute late if the clock was set. It is called without a lock of the connection, on the
// scheduler's goroutine: it must not wait. A further Expire replaces the time; the zero time
// is never. After the end of the connection nothing is called.
func (c *Conn) Expire(at time.Time, passed func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expiry = nil
	if !at.IsZero() {
		c.expiry = &expiry{at.Round(0), passed}
		c.armExpiryLocked()
	}
}

// lookAtClockLocked has the expiry called if its time has come.
func (c *Conn) lookAtClockLocked() {
	switch {
	case c.expiry == nil:
	case !c.shared.Wheel.clock().Before(c.expiry.at):
		c.todo |= doExpire
	default:
		c.armExpiryLocked()
	}
}

// armExpiryLocked schedules the next look at the wall clock.
func (c *Conn) armExpiryLocked() {
	if !c.open || c.dead {
		return
	}
	left := c.expiry.at.Sub(c.shared.Wheel.clock())
	c.out.Arm(c.shared.Wheel.Now() + min(max(left, 0), clockLook))
}
