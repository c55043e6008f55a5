package out

import (
	"errors"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// atATime is the maximum number of pieces per system call.
	atATime = 16
	// rounds is the maximum number of writes in one Flush before a goroutine takes over.
	rounds = 4
	// plainChunk is the maximum size of one write to a connection without a file
	// descriptor, so that progress is noticed.
	plainChunk = 16 << 10
)

// writer is the state of the writing goroutine between two writes; only it has access.
type writer struct {
	ready   func(fd uintptr) bool // writeReady, bound once
	patient bool                  // block until the socket is writable
	err     error                 // of the last writeReady
}

// Flush writes the queue as far as possible without waiting for the client, and starts a
// goroutine for the rest. Flush is safe for concurrent use, but it makes system calls: do
// not call it under a lock.
func (o *Outlet) Flush() {
	o.mu.Lock()
	q := &o.queue
	start := !o.writing && o.open && !q.failed && !q.empty()
	if start {
		o.writing = true
	}
	yield := o.full && !start
	o.full = false
	o.mu.Unlock()
	if start {
		o.write()
	}
	if yield {
		runtime.Gosched() // another goroutine is writing
	}
}

// write is Flush in the goroutine that has become the writer.
func (o *Outlet) write() {
	for range rounds {
		if o.Socket.Raw == nil {
			break
		}
		if err := o.writeSome(); err != nil {
			o.writeFailed(err)
			return
		}
		if o.stuck { // changed only by the writer
			break
		}
		if o.writeDone() {
			return
		}
	}
	o.writer.patient = true
	o.mu.Lock()
	o.stuck = o.stuck || o.Socket.Raw == nil
	o.stallsLocked()
	o.mu.Unlock()
	go o.writeRest()
}

// writeRest writes until the queue is empty or the socket is closed, and waits for the
// client to read. The write timeout restarts with every byte acknowledged.
func (o *Outlet) writeRest() {
	var s stall
	s.took(time.Now())
	for {
		timeout := o.limits.Load().WriteTimeout
		o.Socket.SetWriteDeadline(s.next(time.Now(), timeout, o.Socket.Raw != nil))
		err := o.writeSome()
		if errors.Is(err, os.ErrDeadlineExceeded) && !o.stalled(&s, timeout) {
			continue
		}
		if err != nil {
			o.writeFailed(err)
			return
		}
		s.took(time.Now())
		o.shared.Outgoing.took(o)
		if o.writeDone() {
			return
		}
	}
}

// stalled reports whether the client has made no progress for the timeout.
func (o *Outlet) stalled(s *stall, timeout time.Duration) bool {
	unsent, known := o.Socket.Unsent()
	now := time.Now()
	over := s.over(now, timeout, unsent, known)
	if s.since.Equal(now) {
		o.shared.Outgoing.took(o)
	}
	return over
}

func (o *Outlet) writeSome() error {
	if o.Socket.Raw == nil {
		return o.writePlain()
	}
	o.writer.err = nil
	if err := o.Socket.Raw.Write(o.writer.ready); err != nil {
		return err
	}
	return o.writer.err
}

// writeReady makes one non-blocking write of up to atATime pieces. RawConn.Write calls it
// again when the socket is writable, until it returns true.
func (o *Outlet) writeReady(fd uintptr) bool {
	var bufs [atATime][]byte
	count, size := o.gather(bufs[:])
	if count == 0 {
		return true
	}
	n, err := write(int(fd), bufs[:count])
	o.wrote(max(n, 0), size)
	if err == unix.EAGAIN {
		return !o.writer.patient
	}
	if err != nil {
		o.writer.err = os.NewSyscallError("write", err)
	}
	return true
}

// writePlain is writeSome for a connection without a file descriptor. Its writes block, so
// the outlet counts as stuck meanwhile.
func (o *Outlet) writePlain() error {
	var bufs [1][]byte
	count, _ := o.gather(bufs[:])
	if count == 0 {
		return nil
	}
	n, err := o.Socket.Write(bufs[0][:min(len(bufs[0]), plainChunk)])
	o.wrote(n, n+1)
	if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

func (o *Outlet) gather(bufs [][]byte) (count, size int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queue.gather(bufs)
}

// wrote notes that n of the gathered bytes were written.
func (o *Outlet) wrote(n, of int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stuck = n < of
	if o.queue.failed {
		return
	}
	messages := o.queue.wrote(n)
	o.shared.Stats.BytesOut.Add(int64(n))
	if messages > 0 {
		o.shared.Stats.MessagesOut.Add(messages)
		o.Touch()
	}
	o.wakeLocked()
}

// writeDone ends the writer if the queue is empty, and reports whether it did.
func (o *Outlet) writeDone() bool {
	o.mu.Lock()
	q := &o.queue
	if !q.empty() {
		o.mu.Unlock()
		return false
	}
	if o.writer.patient {
		o.writer.patient = false
		o.Socket.SetWriteDeadline(time.Time{})
	}
	o.writing, o.stuck = false, false
	q.goesOn()
	finished := q.closed
	o.mu.Unlock()
	if finished {
		o.owner.Done(nil)
	}
	return true
}

// writeFailed ends writing. A write timeout means that the client reads too slowly.
func (o *Outlet) writeFailed(err error) {
	o.mu.Lock()
	o.writing = false
	o.queue.fail()
	o.wakeLocked()
	o.mu.Unlock()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		o.owner.Done(err)
		return
	}
	if o.owner.Slow() {
		o.shared.Stats.SlowReaders.Add(1)
		o.shared.Stats.WritesStalled.Add(1)
	}
	o.owner.CloseNow()
}
