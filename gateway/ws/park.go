package ws

import "errors"

// ErrIdle is returned by [Conn.Next] when it has no message and does not wait: its Waker is
// called when to call Next again.
var ErrIdle = errors.New("client is idle")

// Waker is the owner of a connection, which reads its messages.
type Waker interface {
	// Wake is called on its own goroutine: there may be input, or the connection has ended.
	Wake()
}

// Next is Read without a goroutine waiting for an idle client. If no input has arrived yet,
// or only pings and pongs recently, it returns [ErrIdle], and w is woken once when there is
// more. Until then the connection has neither goroutine nor buffer. Without access to the
// socket's file descriptor, Next waits as Read does.
func (c *Conn) Next(w Waker) (Message, error) {
	c.yields = c.out.Socket.Raw != nil
	for {
		m, err := c.Read()
		if !errors.Is(err, ErrIdle) || c.park(w) {
			return m, err
		}
	}
}

// park registers w to be woken when the client sends something. It returns false if the
// connection is to be read without delay.
func (c *Conn) park(w Waker) bool {
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return false
	}
	c.waker = w
	c.reads++ // silence counts, as in a Read
	c.mu.Unlock()
	watch := &c.shared.Wheel.watch
	if err := watch.add(c); err != nil {
		if c.unpark() == nil {
			return true // another goroutine wakes it, and owns the input
		}
		c.yields = false
		return false
	}
	c.mu.Lock()
	dead := c.dead
	c.mu.Unlock()
	if dead {
		watch.forget(c) // add may have come after the forget in shut
	}
	return true
}

// unpark takes the Waker, or nil if it was taken.
func (c *Conn) unpark() Waker {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.waker
	if w != nil {
		c.waker = nil
		c.reads++
	}
	return w
}

// wake wakes the owner if the connection is parked.
func (c *Conn) wake() {
	if w := c.unpark(); w != nil {
		go w.Wake()
	}
}
