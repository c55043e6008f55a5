package ws

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// atATime is how many frames one system call writes.
	atATime = 16
	// rounds is how often a caller of Flush writes on behalf of others before
	// a goroutine relieves it.
	rounds = 4
	// plainChunk is how many bytes are written at a time over a connection
	// without a file descriptor, so that progress is noticed.
	plainChunk = 16 << 10
)

// writer is what the one who writes keeps between two steps. Nobody else
// touches it.
type writer struct {
	ready   func(fd uintptr) bool // writeReady, bound once
	patient bool                  // wait for the socket instead of giving up
	stuck   bool                  // the socket took less than it was given
	err     error                 // of the last writeReady
}

// Flush writes what is queued, as far as that is possible without waiting.
// The rest, if any, is written by a goroutine that ends with it. Flush may be
// called at any time, but not under a lock: it makes system calls.
func (c *Conn) Flush() {
	c.mu.Lock()
	o := &c.outbox
	start := !o.writing && !o.corked && !o.failed && !o.empty()
	if start {
		o.writing = true
	}
	c.mu.Unlock()
	if start {
		c.write()
	}
}

// write is the writer's part of Flush.
func (c *Conn) write() {
	for range rounds {
		if c.raw == nil {
			break
		}
		if err := c.writeSome(); err != nil {
			c.writeFailed(err)
			return
		}
		if c.writer.stuck {
			break
		}
		if c.writeDone() {
			return
		}
	}
	c.writer.patient = true
	c.mu.Lock()
	c.stallsLocked()
	c.mu.Unlock()
	go c.writeRest()
}

// writeRest writes until nothing is left, and waits for the client to read.
// The write timeout begins anew with every byte that it takes. It ends with
// the outbox empty, or when the socket is closed, at the latest.
func (c *Conn) writeRest() {
	var s stall
	s.took(time.Now())
	for {
		timeout := c.limits.Load().WriteTimeout
		c.conn.SetWriteDeadline(s.next(time.Now(), timeout, canLook && c.raw != nil))
		err := c.writeSome()
		if errors.Is(err, os.ErrDeadlineExceeded) && !c.stalled(&s, timeout) {
			continue
		}
		if err != nil {
			c.writeFailed(err)
			return
		}
		s.took(time.Now())
		c.shared.Outgoing.took(c)
		if c.writeDone() {
			return
		}
	}
}

// stalled looks whether the client has taken nothing for too long.
func (c *Conn) stalled(s *stall, timeout time.Duration) bool {
	unsent, known := c.unsent()
	now := time.Now()
	over := s.over(now, timeout, unsent, known)
	if s.since.Equal(now) {
		c.shared.Outgoing.took(c)
	}
	return over
}

// writeSome makes one step of writing.
func (c *Conn) writeSome() error {
	if c.raw == nil {
		return c.writePlain()
	}
	c.writer.err = nil
	if err := c.raw.Write(c.writer.ready); err != nil {
		return err
	}
	return c.writer.err
}

// writeReady makes one write that does not wait, of as many frames as one
// call takes. RawConn.Write calls it again when the socket has room, as long
// as it returns false.
func (c *Conn) writeReady(fd uintptr) bool {
	var bufs [atATime][]byte
	c.mu.Lock()
	count, size := c.outbox.gather(bufs[:])
	c.mu.Unlock()
	if count == 0 {
		return true
	}
	n, err := writeTo(int(fd), bufs[:count])
	c.wrote(max(n, 0))
	switch {
	case err == unix.EAGAIN:
		c.writer.stuck = true
		return !c.writer.patient
	case err != nil:
		c.writer.err = os.NewSyscallError("write", err)
	default:
		c.writer.stuck = n < size
	}
	return true
}

// writeTo writes bufs in one system call.
func writeTo(fd int, bufs [][]byte) (n int, err error) {
	for {
		if len(bufs) == 1 {
			n, err = unix.Write(fd, bufs[0])
		} else {
			n, err = unix.Writev(fd, bufs)
		}
		if err != unix.EINTR {
			return n, err
		}
	}
}

// writePlain is writeSome over a connection without a file descriptor.
func (c *Conn) writePlain() error {
	var bufs [1][]byte
	c.mu.Lock()
	count, _ := c.outbox.gather(bufs[:])
	c.mu.Unlock()
	if count == 0 {
		return nil
	}
	n, err := c.conn.Write(bufs[0][:min(len(bufs[0]), plainChunk)])
	c.wrote(n)
	if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// wrote notes that n bytes of what was gathered are written.
func (c *Conn) wrote(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outbox.failed {
		return
	}
	messages := c.outbox.wrote(n)
	c.shared.Stats.BytesOut.Add(int64(n))
	if messages > 0 {
		c.shared.Stats.MessagesOut.Add(messages)
		c.moved.Store(int64(c.shared.Wheel.now()))
	}
	c.wakeLocked()
}

// writeDone gives the writer's place up when nothing is left to write. With
// the Close frame written it lets the end go on.
func (c *Conn) writeDone() bool {
	c.mu.Lock()
	defer c.unlock()
	o := &c.outbox
	if !o.empty() {
		return false
	}
	if c.writer.patient {
		c.writer.patient = false
		c.conn.SetWriteDeadline(time.Time{})
	}
	o.writing = false
	o.goesOn()
	if o.closed {
		c.endLocked()
	}
	return true
}

// writeFailed ends writing. A client that took nothing for too long is too
// slow. Otherwise the client has closed the socket: what it sent before is
// still there to be read, so the end is left to Read.
func (c *Conn) writeFailed(err error) {
	c.mu.Lock()
	defer c.unlock()
	o := &c.outbox
	o.writing = false
	o.fail()
	c.wakeLocked()
	if c.dead {
		return
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if c.cause.set(4408, slowReason) {
			c.shared.Stats.SlowReaders.Add(1)
			c.shared.Stats.WritesStalled.Add(1)
		}
		c.todo |= doShut
		return
	}
	c.endLocked()
	c.probeLocked(closeWait)
	c.closeWithinLocked(lastWords)
}
