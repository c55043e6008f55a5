package fcgi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// inlineWrite is the largest request that is written before its answer is read. It
// fits into a socket's buffer; a larger one is written beside the reading, since a
// server may answer before it has read everything.
const inlineWrite = 64 << 10

// readyGrace is how long an answer is held back for the worker's sign of life. It
// spares most settling slots a goroutine; one answer in twenty waits a moment.
const readyGrace = 200 * time.Microsecond

// errEnded is not an error: the application server sent a proper END_REQUEST.
var errEnded = errors.New("END_REQUEST")

// conn is one connection to an application server. It belongs to one request, or
// to the pool, at a time; only interrupt may be called by others.
type conn struct {
	nc    net.Conn
	sock  *socket
	dec   decoder
	probe bool // every request asks for a sign of life, and the connection is kept
	asked bool // the first question whether that works is still unanswered
	epoch int  // Pool.epoch when it was opened

	dialing   time.Duration // how long connecting took: a way through the network and back
	accepted  bool          // a worker has answered: the connection is not in the backlog
	held      *holding      // counts the pool's connections of which that is true
	missed    func()        // tells the pool of that, which misses the worker; nil else
	answered  bool          // a record of the answer to this request has come
	refuses   bool          // nothing is read any more, see refuseOutput
	ready     bool          // the answer to the probe behind this request has come
	idleSince time.Time

	buf     []byte        // what encode wrote; grown once, kept
	out     net.Buffers   // what the kernel has not taken yet
	sent    int64         // bytes of this request that it has taken
	sendErr error         // why the rest was not sent
	writing chan struct{} // closed when the writing goroutine is done; nil without one
	head    []byte        // the header block being gathered

	mu          sync.Mutex // guards what follows
	use         uint64     // which use of the connection this is
	interrupted bool       // this use is to end: deadlines stay in the past
}

func newConn(nc net.Conn) *conn {
	sock := newSocket(nc)
	return &conn{
		nc:   nc,
		sock: sock,
		held: new(holding),
		dec:  decoder{r: bufio.NewReaderSize(sock, readBuffer)},
	}
}

// begin starts another use of the connection. Whoever still holds the number of an
// earlier use can no longer interrupt it.
func (c *conn) begin() (use uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.use++
	c.interrupted = false
	return c.use
}

// interrupt makes a blocked or coming read or write of that use fail at once.
func (c *conn) interrupt(use uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.use == use {
		c.interrupted = true
		c.nc.SetDeadline(time.Unix(1, 0))
	}
}

// interruptOn interrupts the current use when ctx ends. Call stop in any case.
func (c *conn) interruptOn(ctx context.Context, use uint64) (stop func() bool) {
	if ctx.Done() == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(ctx, func() { c.interrupt(use) })
}

// readBy bounds reading, unless this use was interrupted.
func (c *conn) readBy(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.interrupted {
		c.nc.SetReadDeadline(t)
	}
}

// writeBy bounds writing, unless this use was interrupted.
func (c *conn) writeBy(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.interrupted {
		c.nc.SetWriteDeadline(t)
	}
}

// send writes r, or, when r is large, begins to write it in a goroutine of its
// own. An error is final only when sent is 0: a server that stops reading may
// still answer what it has read. A small request's answer has begun to come when
// send returns, or the wait for it has failed, as the next read will tell.
func (c *conn) send(r *Request, until time.Time) error {
	c.answered, c.ready, c.dec.ended = false, false, false
	c.head = c.head[:0]
	c.sent, c.sendErr, c.writing = 0, nil, nil
	c.out, c.buf = encode(c.buf, r, c.probe, c.probe && !c.accepted)
	if c.out == nil {
		c.out = c.sendSmall()
		if c.out == nil || c.sendErr != nil {
			return c.sendErr
		}
	}
	c.writeBy(until)
	if len(c.buf)+len(r.Body) <= inlineWrite {
		c.write()
		return c.sendErr
	}
	c.writing = make(chan struct{})
	go func() {
		defer close(c.writing)
		c.write()
	}()
	return nil
}

// sendSmall writes a request that one write takes, and waits for its answer. It
// returns what the kernel did not take, nil for nothing.
func (c *conn) sendSmall() (rest net.Buffers) {
	if c.dec.r.Buffered() > 0 || !c.sock.writeFirst(c.buf) {
		return net.Buffers{c.buf}
	}
	c.dec.r.Peek(1) // what failed fails again when the answer is read
	n, err := c.sock.written()
	c.sent, c.sendErr = int64(n), err
	if n < len(c.buf) {
		return net.Buffers{c.buf[n:]}
	}
	return nil
}

// write writes what is left of c.out.
func (c *conn) write() {
	n, err := c.out.WriteTo(c.nc)
	c.sent += n
	c.sendErr = err
}

// written waits for the writing goroutine, if there is one.
func (c *conn) written() {
	if c.writing != nil {
		<-c.writing
	}
}

// stillWriting tells whether the writing goroutine is at work.
func (c *conn) stillWriting() bool {
	if c.writing == nil {
		return false
	}
	select {
	case <-c.writing:
		return false
	default:
		return true
	}
}

// gatherHeader reads answer content up to the end of the header block and returns
// the block, valid until the next request. After a timeout it may be called again
// and goes on where it was.
func (c *conn) gatherHeader(limit int64, stderr *boundedText) ([]byte, error) {
	for {
		if err := c.nextStdout(stderr); err != nil {
			return nil, err
		}
		chunk, err := c.dec.chunk()
		if err != nil {
			return nil, err
		}
		seen := len(c.head)
		c.head = append(c.head, chunk...)
		end := headerEnd(c.head, seen)
		if int64(end) > limit || end == 0 && int64(len(c.head)) > limit {
			return nil, fmt.Errorf("%w: header block over %d bytes", ErrTooLarge, limit)
		}
		if end > 0 {
			c.dec.skip(end - seen)
			return c.head[:end], nil
		}
		c.dec.skip(len(chunk))
	}
}

// nextStdout moves to answer content, unless there already is some waiting. At
// END_REQUEST it returns errEnded.
func (c *conn) nextStdout(stderr *boundedText) error {
	for c.dec.in != typeStdout || c.dec.left == 0 {
		if c.dec.in == typeStderr { // the rest of a text that a deadline came into
			if err := c.readStderr(stderr); err != nil {
				return err
			}
		}
		k, err := c.dec.next()
		if err != nil {
			return err
		}
		c.answered = c.answered || k != gotReady
		switch k {
		case gotReady:
			c.signOfLife()
		case gotEnd:
			return errEnded
		}
	}
	return nil
}

// readStderr takes the current record's text.
func (c *conn) readStderr(stderr *boundedText) error {
	for c.dec.left > 0 {
		chunk, err := c.dec.chunk()
		if err != nil {
			return err
		}
		stderr.add(chunk)
		c.dec.skip(len(chunk))
	}
	return nil
}

// awaitReady reads the probe's answer, which is usually here already, or comes
// within microseconds. A timeout means that the worker is busy still, any other
// error that the connection is of no more use.
func (c *conn) awaitReady() error {
	if !c.ready && !c.dec.buffered() {
		c.readBy(time.Now().Add(readyGrace))
	}
	for !c.ready {
		k, err := c.dec.next()
		if err != nil {
			return err
		}
		if k == gotReady {
			c.signOfLife()
		}
	}
	return nil
}

// signOfLife takes the answer to a probe: on a new connection the first says that
// a worker has come for it, every other that the worker is back in its loop.
func (c *conn) signOfLife() {
	if c.ready = c.accepted; !c.ready {
		c.accept()
	}
	if c.missed != nil {
		c.missed()
		c.missed = nil
	}
}

// accept notes that a worker has come for the connection.
func (c *conn) accept() {
	c.accepted = true
	c.held.add()
}

// clean tells whether the connection stands where a request may follow.
func (c *conn) clean() bool {
	return c.probe && c.ready && c.dec.ended && c.dec.left == 0 && c.dec.r.Buffered() == 0 &&
		c.sendErr == nil && len(c.out) == 0
}

// isTimeout tells whether a deadline ended a read or write.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// isFullBacklog tells whether a connect failed because the server has more callers
// waiting than its listen queue holds.
func isFullBacklog(err error) bool { return errors.Is(err, syscall.EAGAIN) }

// isOurs tells whether a connect failed for want of a descriptor or a port of this
// process, whatever the server does.
func isOurs(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.EADDRNOTAVAIL)
}
