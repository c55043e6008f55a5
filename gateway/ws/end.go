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
	// answerWait is how long a Close frame that the client waits for is kept back
	// for an answer that is still being made. Clients give up soon.
	answerWait = time.Second
	// lingerTime is how long the input of a client that broke a rule is thrown
	// away, so that the Close frame reaches it: closing a socket that has
	// unread input resets the connection and may destroy what is on its way.
	lingerTime = time.Second
	// lastInput is how many bytes are thrown away for the same reason when any
	// other connection ends.
	lastInput = 64 << 10

	slowCode   = 4408
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

// late is a Close frame that waits for the owner's answers.
type late struct {
	frame   []byte
	refusal bool // the client broke a rule; else it has closed
	due     time.Duration
}

// todo is what a method has found to be done as soon as it gives Conn.mu up:
// closing a socket waits for its users, and they may want the
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

// Close queues a Close frame after what waits already and begins to write
// (RFC 6455, 7.1.2). The code is one that may be sent, or 1005 for none (RFC
// 6455, 7.4); the reason is UTF-8 and cut to 123 bytes. Nothing is accepted
// afterwards. When the frame is written the client has five seconds to answer
// it, then the socket is closed. Close does not wait for any of this; a later
// Close does nothing.
func (c *Conn) Close(code int, reason string) {
	c.mu.Lock()
	switch {
	case c.dead:
	case c.out.Finish(closeFrame(code, reason)):
		c.cause.set(code, reason)
		c.boundCloseLocked()
	case c.out.State().Failed:
		c.cause.set(code, reason)
		c.todo |= doShut
	}
	c.unlock()
	c.Flush()
}

// boundCloseLocked bounds the wait until our Close frame is written, where no write
// timeout does.
func (c *Conn) boundCloseLocked() {
	if c.limits.Load().Out.WriteTimeout <= 0 {
		c.closeWithinLocked(closeWait)
	}
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

// Cause reports why the connection ended, once Read has returned an error: the
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

// refuseLocked ends a connection whose client broke a rule.
func (c *Conn) refuseLocked(code int, reason string) {
	c.cause.set(code, reason)
	frame := closeFrame(code, reason)
	if c.keepBackLocked(frame, true) {
		return
	}
	c.out.Finish(frame)
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
	o := c.out.State()
	readOver := c.fault != nil
	switch {
	case c.dead:
	case c.late != nil && !o.Failed:
	case c.lingering && o.Failed:
		c.todo |= doShut
	case c.lingering && o.Finished:
		c.todo |= doEndOut
	case c.lingering:
	case readOver && (!c.peerClosed || o.Finished || o.Failed):
		c.todo |= doShut
	case o.Finished && !readOver:
		c.closeWithinLocked(closeWait)
	}
}

// closeWithinLocked lets the scheduler close the socket after that long, unless it
// will earlier.
func (c *Conn) closeWithinLocked(d time.Duration) {
	due := c.shared.Wheel.Now() + d
	if c.closeDue == 0 || due < c.closeDue {
		c.closeDue = due
	}
	if c.open {
		c.out.Arm(c.closeDue)
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
	c.dead, c.late = true, nil
	c.cause.set(1006, "")
	orderly := c.out.Fail()
	c.out.Disarm()
	lib, open, active := c.lib, c.open, c.active
	if !active {
		c.countInputLocked(false)
	}
	c.mu.Unlock()

	if open {
		if orderly {
			c.discard()
		}
		if c.out.Socket.Raw != nil {
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
	_ = c.out.Socket.Close() // whatever it says, the descriptor is given back
	c.shared.Stats.Sockets.Add(-1)
}

// discard throws away input that has come in already.
func (c *Conn) discard() {
	if c.out.Socket.Raw == nil {
		return
	}
	buf := c.shared.Wheel.buffer()
	defer c.shared.Wheel.recycle(buf)
	_ = c.out.Socket.Raw.Control(func(fd uintptr) { // the socket may be gone: nothing to throw away then
		for range lastInput / inputBuffer {
			if n, err := unix.Read(int(fd), buf[:]); n <= 0 || err != nil {
				return
			}
		}
	})
}

// endOutput shuts the writing side of the socket, where it has sides.
func (c *Conn) endOutput() {
	if s, ok := c.out.Socket.Conn.(interface{ CloseWrite() error }); ok {
		_ = s.CloseWrite() // the client may have gone
	}
}

// linger throws input away until the client closes its side or has had time
// enough, then closes the socket.
func (c *Conn) linger() {
	buf := c.shared.Wheel.buffer()
	_ = c.out.Socket.SetReadDeadline(time.Now().Add(lingerTime)) // fails on a closed socket, as Read does
	_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c.out.Socket.Conn}, buf[:])
	c.shared.Wheel.recycle(buf)
	c.CloseNow()
}

// BeginReply says that the owner is making an answer to what Read has returned. When
// the client then closes or breaks a rule, the Close frame that ends the
// connection goes out after that answer, as the RFC allows (RFC 6455, 5.5.1),
// but a second later at most. Each BeginReply is followed by one [Conn.EndReply]. It is
// called by the goroutine that calls Read.
func (c *Conn) BeginReply() {
	c.mu.Lock()
	c.owed++
	c.mu.Unlock()
}

// EndReply says that the answer to m has been queued, or will not come. It gives the
// memory of m back to Shared.Memory.
func (c *Conn) EndReply(m Message) {
	c.shared.Memory.Release(int64(len(m.Data)))
	c.mu.Lock()
	c.owed--
	if c.owed == 0 {
		c.sayLateLocked()
	}
	c.unlock()
	c.Flush()
}

// queueControl adds a whole pong or Close frame.
func (c *Conn) queueControl(frame []byte) {
	if frame[0]&0x0f != opClose {
		c.out.Urgent(frame)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.keepBackLocked(frame, false) {
		c.out.Finish(frame)
	}
}

// keepBackLocked keeps the last Close frame back when an answer is due. It
// reports false when none is.
func (c *Conn) keepBackLocked(frame []byte, refusal bool) bool {
	if c.owed == 0 || c.dead || !c.out.State().Accepts() {
		return false
	}
	c.late = &late{frame: frame, refusal: refusal, due: c.shared.Wheel.Now() + answerWait}
	c.out.Arm(c.late.due)
	return true
}

// sayLateLocked queues the Close frame that was kept back. A Close of the
// owner's that came meanwhile stands.
func (c *Conn) sayLateLocked() {
	l := c.late
	if l == nil {
		return
	}
	c.late = nil
	c.out.Finish(l.frame)
	if l.refusal {
		c.lingerLocked()
	}
	c.endLocked()
}
