package fcgi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// inlineWrite is the size up to which a request is written before its answer is read.
// It fits into a socket's buffer. A larger one is written concurrently with reading,
// since a server may answer before it has read everything.
const inlineWrite = 64 << 10

// readyGrace is how long a complete answer waits for the probe's reply. It saves most
// settling slots a goroutine; one answer in twenty waits.
const readyGrace = 200 * time.Microsecond

// errEnded reports a regular END_REQUEST. It is not a failure.
var errEnded = errors.New("END_REQUEST")

// conn is one connection to an application server. It is owned by one request, or by
// the pool, at a time; only interrupt may be called by others.
type conn struct {
	nc    net.Conn
	sock  *socket
	dec   decoder
	probe bool // a probe follows every request, and the connection is kept
	asked bool // the test whether the server answers probes is still unanswered
	epoch int  // Pool.epoch when it was opened

	dialing   time.Duration // duration of connecting: about a network round trip
	accepted  bool          // a worker has answered: the connection is not in the backlog
	held      *holding      // counts the pool's accepted connections
	missed    func()        // called on acceptance if the connection counts as missed, else nil
	answered  bool          // a record of the answer to this request has arrived
	refuses   bool          // reading has been shut down, see refuseOutput
	ready     bool          // the reply to the probe after this request has arrived
	idleSince time.Time

	buf     []byte        // encode's output; reused
	out     net.Buffers   // not yet taken by the kernel
	sent    int64         // bytes of this request that the kernel has taken
	sendErr error         // why the rest was not sent
	writing chan struct{} // closed when the writing goroutine has ended; nil without one
	head    []byte        // the header block being gathered

	mu          sync.Mutex // guards what follows
	use         uint64     // number of the current use
	interrupted bool       // the current use is to end: deadlines stay in the past
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

// begin starts another use of the connection. Interrupts of earlier uses have no
// effect from now on.
func (c *conn) begin() (use uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.use++
	c.interrupted = false
	return c.use
}

// interrupt makes current and future reads and writes of that use fail at once.
func (c *conn) interrupt(use uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.use == use {
		c.interrupted = true
		c.nc.SetDeadline(time.Unix(1, 0))
	}
}

// interruptOn interrupts the current use when ctx ends. The caller must call stop.
func (c *conn) interruptOn(ctx context.Context, use uint64) (stop func() bool) {
	if ctx.Done() == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(ctx, func() { c.interrupt(use) })
}

// readBy sets the read deadline, unless this use was interrupted.
func (c *conn) readBy(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.interrupted {
		c.nc.SetReadDeadline(t)
	}
}

// writeBy sets the write deadline, unless this use was interrupted.
func (c *conn) writeBy(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.interrupted {
		c.nc.SetWriteDeadline(t)
	}
}

// send writes r; if r is large, a goroutine does. An error is final only if sent is 0:
// a server that stops reading may still answer what it has read. For a small request
// send also waits for the first bytes of the answer; the next read returns the error
// if that fails.
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

// sendSmall writes a request in one write and waits for its answer. It returns the
// part that the kernel did not take, or nil.
func (c *conn) sendSmall() (rest net.Buffers) {
	if c.dec.r.Buffered() > 0 || !c.sock.writeFirst(c.buf) {
		return net.Buffers{c.buf}
	}
	c.dec.r.Peek(1) // an error recurs when the answer is read
	n, err := c.sock.written()
	c.sent, c.sendErr = int64(n), err
	if n < len(c.buf) {
		return net.Buffers{c.buf[n:]}
	}
	return nil
}

// write writes the rest of c.out.
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

// stillWriting reports whether the writing goroutine is running.
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

// gatherHeader reads content up to the end of the header block and returns the block,
// which is valid until the next request. After a timeout it may be called again and
// resumes.
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

// nextStdout advances to answer content, unless some is already buffered. At
// END_REQUEST it returns errEnded.
func (c *conn) nextStdout(stderr *boundedText) error {
	for c.dec.in != typeStdout || c.dec.left == 0 {
		if c.dec.in == typeStderr { // the rest of a text that a deadline interrupted
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
			c.probeReply()
		case gotEnd:
			return errEnded
		}
	}
	return nil
}

// readStderr reads the current record's text.
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

// awaitReady reads the probe's reply, which has usually arrived already or does within
// microseconds. A timeout means that the worker is still busy; after any other error
// the connection is unusable.
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
			c.probeReply()
		}
	}
	return nil
}

// probeReply handles the reply to a probe. The first on a new connection means that a
// worker has accepted it, every other that the worker is back in its accept loop.
func (c *conn) probeReply() {
	if c.ready = c.accepted; !c.ready {
		c.accept()
	}
	if c.missed != nil {
		c.missed()
		c.missed = nil
	}
}

// accept records that a worker has accepted the connection.
func (c *conn) accept() {
	c.accepted = true
	c.held.add()
}

// clean reports whether another request may follow on the connection.
func (c *conn) clean() bool {
	return c.probe && c.ready && c.dec.ended && c.dec.left == 0 && c.dec.r.Buffered() == 0 &&
		c.sendErr == nil && len(c.out) == 0
}

// isTimeout reports whether a deadline ended a read or write.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// isEnd reports whether the server has closed the connection.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// isFullBacklog reports whether a connect failed because the server's listen queue is
// full.
func isFullBacklog(err error) bool { return errors.Is(err, syscall.EAGAIN) }

// isOurs reports whether a connect failed for lack of a descriptor or port in this
// process, independent of the server.
func isOurs(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.EADDRNOTAVAIL)
}
