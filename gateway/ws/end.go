package ws

import (
	"io"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// closeWait bounds the wait for the client's answer to our Close frame.
	closeWait = 5 * time.Second
	// lastWords bounds the time after a failed write in which input that the client sent
	// before is still handled: the kernel may hold megabytes of it.
	lastWords = 30 * time.Second
	// answerWait bounds the delay of a Close frame for a reply in progress. Clients do not
	// wait much longer.
	answerWait = time.Second
	// lingerTime is how long the input of a client that violated the protocol is discarded
	// (lingering close), so that the Close frame arrives: closing a socket with unread
	// input resets the connection, which may discard data in flight.
	lingerTime = time.Second
	// lastInput is the number of bytes discarded for the same reason when any other
	// connection ends.
	lastInput = 64 << 10

	slowReason = "too slow a reader"
)

// cause is the first reason for the end of a connection.
type cause struct {
	code   int // 0: none yet
	reason string
}

// set sets the cause unless it is set, and reports whether it did.
func (c *cause) set(code int, reason string) bool {
	if c.code != 0 {
		return false
	}
	c.code, c.reason = code, reason
	return true
}

// late is a Close frame that waits for the owner's replies.
type late struct {
	frame   []byte
	refusal bool // the client violated the protocol; else it has closed
	due     time.Duration
}

// todo is the set of actions to run after Conn.mu is unlocked: closing a socket waits for
// its users, which may lock Conn.mu.
type todo uint8

const (
	doShut   todo = 1 << iota // close the socket
	doEndOut                  // shut down the sending side
	doLinger                  // discard input, then close
	doTell                    // call pinged
	doExpire                  // call expiry.passed
)

// unlock unlocks Conn.mu and runs the actions in c.todo.
func (c *Conn) unlock() {
	due := c.todo
	c.todo = 0
	passed := c.expiry
	if due&doExpire != 0 {
		c.expiry = nil
	}
	c.mu.Unlock()
	if due&doShut != 0 {
		c.shut()
		return
	}
	if due&doExpire != 0 {
		passed.call()
	}
	if due&doTell != 0 {
		c.pinged()
	}
	if due&doEndOut != 0 {
		c.endOutput()
	}
	if due&doLinger != 0 {
		go c.linger()
	}
}

// Close queues a Close frame after all queued messages and starts writing (RFC 6455,
// 7.1.2). The code must be one that may be sent, or 1005 for none (RFC 6455, 7.4); the
// reason is UTF-8 and cut to 123 bytes. Nothing is accepted afterwards. After the frame is
// written, the client has five seconds to answer; then the socket is closed. Close does not
// wait for any of this; further calls have no effect.
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

// boundCloseLocked bounds the time to write our Close frame if there is no write timeout.
func (c *Conn) boundCloseLocked() {
	if c.limits.Load().Out.WriteTimeout <= 0 {
		c.closeWithinLocked(closeWait)
	}
}

// CloseNow closes the socket without delay; queued output is lost. It is not needed after
// an error of Read: the socket is then closed within seconds, after a last Close frame.
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

// Cause returns why the connection ended, once Read has returned an error: the client's
// close code (1005: none given) and reason; ours if we closed it; 1006 if it was lost.
// Clean reports whether the client sent a Close frame.
func (c *Conn) Cause() (code int, reason string, clean bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause.code == 0 {
		return 1006, "", c.peerClosed
	}
	return c.cause.code, c.cause.reason, c.peerClosed
}

// refuseLocked ends a connection whose client violated the protocol.
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

// lingerLocked starts to discard input.
func (c *Conn) lingerLocked() {
	c.lingering = true
	c.todo |= doLinger
}

// endLocked takes the next step of closing that the state of reading and writing permits.
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

// closeWithinLocked has the scheduler close the socket after d, unless that is due earlier.
func (c *Conn) closeWithinLocked(d time.Duration) {
	due := c.shared.Wheel.Now() + d
	if c.closeDue == 0 || due < c.closeDue {
		c.closeDue = due
	}
	if c.open {
		c.out.Arm(c.closeDue)
	}
}

// shut closes the socket, and the library's connection unless a Read uses it, which then
// closes that at its end.
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

// closeSocket closes the socket. It is called once.
func (c *Conn) closeSocket() {
	_ = c.out.Socket.Close() // frees the descriptor even if it fails
	c.shared.Stats.Sockets.Add(-1)
}

// discard discards received input.
func (c *Conn) discard() {
	if c.out.Socket.Raw == nil {
		return
	}
	buf := c.shared.Wheel.buffer()
	defer c.shared.Wheel.recycle(buf)
	_ = c.out.Socket.Raw.Control(func(fd uintptr) { // fails if the socket is closed: nothing to discard
		for range lastInput / inputBuffer {
			if n, err := unix.Read(int(fd), buf[:]); n <= 0 || err != nil {
				return
			}
		}
	})
}

// endOutput shuts down the sending side of the socket, if its type supports that.
func (c *Conn) endOutput() {
	if s, ok := c.out.Socket.Conn.(interface{ CloseWrite() error }); ok {
		_ = s.CloseWrite() // the client may have gone
	}
}

// linger discards input until the client closes its side or lingerTime is over, then closes
// the socket.
func (c *Conn) linger() {
	buf := c.shared.Wheel.buffer()
	_ = c.out.Socket.SetReadDeadline(time.Now().Add(lingerTime)) // fails on a closed socket, as Read does
	_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c.out.Socket.Conn}, buf[:])
	c.shared.Wheel.recycle(buf)
	c.CloseNow()
}

// BeginReply announces a reply to the message that Read has returned. If the client then
// closes or violates the protocol, the final Close frame is sent after that reply, as RFC
// 6455, 5.5.1 permits, but at most a second later. Each BeginReply is followed by one
// [Conn.EndReply]. It is called by the goroutine that calls Read.
func (c *Conn) BeginReply() {
	c.mu.Lock()
	c.owed++
	c.mu.Unlock()
}

// EndReply reports that the reply to m is queued, or that there is none. It releases the
// memory of m in Shared.Memory.
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

// queueControl queues a whole pong or Close frame.
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

// keepBackLocked delays the last Close frame if a reply is in progress, and reports whether
// it did.
func (c *Conn) keepBackLocked(frame []byte, refusal bool) bool {
	if c.owed == 0 || c.dead || !c.out.State().Accepts() {
		return false
	}
	c.late = &late{frame: frame, refusal: refusal, due: c.shared.Wheel.Now() + answerWait}
	c.out.Arm(c.late.due)
	return true
}

// sayLateLocked queues the delayed Close frame. It does not replace a Close of the owner.
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
