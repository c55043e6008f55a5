package ws

import "errors"

// ErrIdle says that [Conn.Next] has no message and waits no longer: its Waker
// is called when Next is to be called again.
var ErrIdle = errors.New("client is idle")

// Waker is the owner of a connection, which reads its messages.
type Waker interface {
	// Wake is called on a goroutine of its own: there may be something to
	// read, or the connection has ended.
	Wake()
}

// Next is Read for an owner that does not want a goroutine to wait for a
// silent client. When nothing but pings and pongs has come for a while, or
// nothing yet, it returns [ErrIdle], and w is woken once when there is more.
// Until then the connection has neither goroutine nor buffer. Over a socket
// that has no file descriptor of ours Next waits as Read does.
func (c *Conn) Next(w Waker) (Message, error) {
	c.input.yields = c.out.Socket.Raw != nil
	for {
		m, err := c.Read()
		if !errors.Is(err, ErrIdle) || c.park(w) {
			return m, err
		}
	}
}

// park has w woken when the client sends something. It reports false when the
// connection is to be read at once.
func (c *Conn) park(w Waker) bool {
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return false
	}
	c.waker = w
	c.reads++ // the client is listened to as in a Read
	c.mu.Unlock()
	watch := &c.shared.Wheel.watch
	if err := watch.add(c); err != nil {
		if c.unpark() == nil {
			return true // another goroutine wakes it, and owns the input
		}
		c.input.yields = false
		return false
	}
	c.mu.Lock()
	dead := c.dead
	c.mu.Unlock()
	if dead {
		watch.forget(c) // it may have come after shut's
	}
	return true
}

// unpark takes the Waker, if it is still there.
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
