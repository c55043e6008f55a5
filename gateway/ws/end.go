package ws

import (
	"io"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// closeWait is how long the client may take to answer our Close frame.
	closeWait = 5 * time.Second
	// lastWords is how long what a client sent before it closed its socket is
	// still read and handled, once a write has failed. What the kernel holds may
	// be megabytes, hours of messages at the limit per second.
	lastWords = 30 * time.Second
	// lingerTime is how long the input of a client that broke a rule is thrown
	// away, so that the Close frame reaches it: closing a socket that has
	// unread input resets the connection and may destroy what is on its way.
	lingerTime = time.Second
	// lastInput is how many bytes are thrown away for the same reason when any
	// other connection ends.
	lastInput = 64 << 10

	slowReason = "too slow a reader"
)

// cause is the first reason for a connection's end.
type cause struct {
	code   int // 0: none yet
	reason string
}

// set takes the reason unless there was one, and reports whether it did.
func (c *cause) set(code int, reason string) bool {
	if c.code != 0 {
		return false
	}
	c.code, c.reason = code, reason
	return true
}

// todo is what a method has found to be done as soon as it gives Conn.mu up:
// closing a socket waits for those who are using it, and they may want the
// lock.
type todo uint8

const (
	doShut   todo = 1 << iota // close the socket
	doEndOut                  // no more output: the client sees the end of the stream
	doLinger                  // throw input away, then close
)

// unlock gives Conn.mu up and does what became due under it.
func (c *Conn) unlock() {
	due := c.todo
	c.todo = 0
	c.mu.Unlock()
	if due&doShut != 0 {
		c.shut()
		return
	}
	if due&doEndOut != 0 {
		c.endOutput()
	}
	if due&doLinger != 0 {
		go c.linger()
	}
}

// Close queues a Close frame behind what waits already and begins to write
// (RFC 6455, 7.1.2). The code is one that may be sent, or 1005 for none (RFC
// 6455, 7.4); the reason is UTF-8 and cut to 123 bytes. Nothing is accepted
// afterwards. When the frame is written the client has five seconds to answer
// it, then the socket is closed. Close does not wait for any of this; a later
// Close does nothing.
func (c *Conn) Close(code int, reason string) {
	c.mu.Lock()
	o := &c.outbox
	switch {
	case c.dead:
	case o.failed:
		c.cause.set(code, reason)
		c.todo |= doShut
	case o.accepts():
		c.cause.set(code, reason)
		o.close(closeFrame(code, reason))
		if c.limits.Load().WriteTimeout <= 0 {
			c.closeWithinLocked(closeWait)
		}
	}
	c.unlock()
	c.Flush()
}

// CloseNow closes the socket at once; what waits to be written is lost. After
// an error of Read it is not needed: the socket is then closed within seconds,
// when a last Close frame has gone out.
func (c *Conn) CloseNow() {
	c.mu.Lock()
	c.todo |= doShut
	c.unlock()
}

// Ended returns a channel that is closed when the socket is.
func (c *Conn) Ended() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = make(chan struct{})
		if c.gone {
			close(c.ended)
		}
	}
	return c.ended
}

// Quiet is how long no message has come or gone. It reports false before
// Upgrade.
func (c *Conn) Quiet() (time.Duration, bool) {
	moved := c.moved.Load()
	return c.shared.Wheel.now() - time.Duration(moved), moved > 0
}

// Cause tells why the connection ended, once Read has returned an error: the
// client's close code (1005: none given) and reason; ours when we closed it;
// 1006 when it was lost. Clean reports that the client has sent a Close frame.
func (c *Conn) Cause() (code int, reason string, clean bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause.code == 0 {
		return 1006, "", c.peerClosed
	}
	return c.cause.code, c.cause.reason, c.peerClosed
}

// tooSlowLocked ends a connection whose client lets too many pushes wait. The
// frames that have not begun are dropped, so that the Close frame is the next.
func (c *Conn) tooSlowLocked() {
	c.cause.set(4408, slowReason)
	c.shared.Stats.SlowReaders.Add(1)
	c.outbox.cut()
	c.outbox.close(closeFrame(4408, slowReason))
	c.wakeLocked()
	within := c.limits.Load().WriteTimeout
	if within <= 0 {
		within = closeWait
	}
	c.closeWithinLocked(within)
}

// giveWay wakes a Read whose message has to give its memory up.
func (c *Conn) giveWay() { _ = c.conn.SetReadDeadline(time.Unix(1, 0)) } // fails on a closed socket, as Read does

// refuseLocked ends a connection whose client broke a rule.
func (c *Conn) refuseLocked(code int, reason string) {
	c.cause.set(code, reason)
	frame := closeFrame(code, reason)
	if c.keepBackLocked(frame, true) {
		return
	}
	if c.outbox.accepts() {
		c.outbox.close(frame)
	}
	c.lingerLocked()
	c.endLocked()
}

// lingerLocked lets what the client still sends be thrown away.
func (c *Conn) lingerLocked() {
	c.lingering = true
	c.todo |= doLinger
}

// endLocked lets the end go on as far as reading and writing have come.
func (c *Conn) endLocked() {
	o := &c.outbox
	readOver := c.fault != nil
	switch {
	case c.dead:
	case c.late.frame != nil && !o.failed:
	case c.lingering && o.failed:
		c.todo |= doShut
	case c.lingering && o.closed:
		c.todo |= doEndOut
	case c.lingering:
	case readOver && (!c.peerClosed || o.closed || o.failed):
		c.todo |= doShut
	case o.closed && !readOver:
		c.closeWithinLocked(closeWait)
	}
}

// closeWithinLocked lets the wheel close the socket after that long, unless it
// will earlier.
func (c *Conn) closeWithinLocked(d time.Duration) {
	due := c.shared.Wheel.now() + d
	if c.closeDue == 0 || due < c.closeDue {
		c.closeDue = due
	}
	if !c.outbox.corked {
		c.shared.Wheel.arm(c, c.closeDue)
	}
}

// shut closes the socket, and the library's connection; that not under a Read,
// whose end does it.
func (c *Conn) shut() {
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return
	}
	c.dead = true
	c.cause.set(1006, "")
	orderly := c.outbox.closed
	c.outbox.fail()
	c.wakeLocked()
	c.shared.Wheel.remove(c)
	lib, open, active := c.lib, !c.outbox.corked, c.active
	if !active {
		c.countInputLocked(false)
	}
	c.mu.Unlock()

	if open {
		if orderly {
			c.discard()
		}
		if c.raw != nil {
			c.shared.Wheel.watch.forget(c)
		}
		c.closeSocket()
		if !active {
			lib.end()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = true
	if c.ended != nil {
		close(c.ended)
	}
	if c.waker != nil {
		go c.wake()
	}
}

// closeSocket closes the socket; it is called once.
func (c *Conn) closeSocket() {
	_ = c.conn.Close() // whatever it says, the descriptor is given back
	c.shared.Stats.Sockets.Add(-1)
}

// discard throws away input that has come in already.
func (c *Conn) discard() {
	if c.raw == nil {
		return
	}
	buf := c.shared.Wheel.buffer()
	defer c.shared.Wheel.recycle(buf)
	_ = c.raw.Control(func(fd uintptr) { // the socket may be gone: nothing to throw away then
		for range lastInput / inputBuffer {
			if n, err := unix.Read(int(fd), buf[:]); n <= 0 || err != nil {
				return
			}
		}
	})
}

// endOutput shuts the writing side of the socket, where it has sides.
func (c *Conn) endOutput() {
	if s, ok := c.conn.(interface{ CloseWrite() error }); ok {
		_ = s.CloseWrite() // the client may have gone
	}
}

// linger throws input away until the client closes its side or has had time
// enough, then closes the socket.
func (c *Conn) linger() {
	buf := c.shared.Wheel.buffer()
	_ = c.conn.SetReadDeadline(time.Now().Add(lingerTime)) // fails on a closed socket, as Read does
	_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c.conn}, buf[:])
	c.shared.Wheel.recycle(buf)
	c.CloseNow()
}
