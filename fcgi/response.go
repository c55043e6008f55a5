package fcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// maxTries is how often a request is sent that no worker has seen.
const maxTries = 3

// Response is the answer to one request: its header has come, its body is still to
// be read, by ReadAll or by Next to the end, or given up by Close. It is for one
// goroutine, except that Close may be called from any.
type Response struct {
	// Status is the HTTP status, 200 when PHP named none.
	Status int
	// Header holds the header fields in PHP's order, without Status.
	Header Header

	pool     *Pool
	ctx      context.Context // of Do: a response is a call in progress
	stop     func() bool     // stops watching ctx
	script   string
	id       string
	timeout  time.Duration
	deadline time.Time
	limit    int64 // bytes of body
	use      uint64
	fields   [8]Field // Header's first room, so that a usual one costs no allocation

	closing atomic.Bool // here, and short below, where they fill a word: 704 bytes in all
	mu      sync.Mutex  // guards what follows, and reading
	short   bool        // the connection's deadline is not yet the response's
	slot    slot
	got     int64 // bytes of body so far
	pending int   // bytes that Next handed out, still in the connection's buffer
	silence time.Duration
	stderr  boundedText
	err     error // how it ended: io.EOF is well
}

func newResponse(ctx context.Context, p *Pool, s slot, r *Request) *Response {
	resp := &Response{
		pool: p, ctx: ctx, slot: s, script: r.Env.script, id: r.ID,
		timeout: r.Timeout, limit: r.MaxAnswer,
		stderr: boundedText{limit: int(s.cfg.MaxStderr)},
	}
	if resp.timeout <= 0 {
		resp.timeout = s.cfg.Timeout
	}
	if resp.limit <= 0 {
		resp.limit = s.cfg.MaxAnswer
	}
	resp.deadline = s.since.Add(resp.timeout)
	return resp
}

// readHeader waits for the header block and parses it. A request that no worker
// has seen is sent again.
func (r *Response) readHeader(req *Request, until time.Time) error {
	block, err := r.awaitHeader()
	for tries := 1; tries < maxTries && r.unseen(err); tries++ {
		r.stop()
		r.pool.drop(r.slot.conn)
		r.slot.conn = nil
		r.pool.count(func(s *Stats) { s.Retries++ })
		if err := r.send(req, until); err != nil {
			return err
		}
		block, err = r.awaitHeader()
	}
	if err == errEnded {
		return r.abandon(PhaseEnd, fmt.Errorf("%w: the answer ended before its header did", ErrProtocol))
	}
	if err != nil {
		return r.fail(PhaseWait, err)
	}
	r.Status, r.Header, err = parseHeader(r.fields[:0], string(block))
	if err != nil {
		return r.abandon(PhaseWait, fmt.Errorf("%w: %w", ErrProtocol, err))
	}
	return nil
}

// awaitHeader waits for the header block. On a new connection the first wait is a
// short one, to notice that no worker has come for it.
func (r *Response) awaitHeader() ([]byte, error) {
	c := r.slot.conn
	block, err := c.gatherHeader(r.slot.cfg.MaxHeader, &r.stderr)
	if isTimeout(err) && r.short && r.ctx.Err() == nil {
		if !c.accepted && !c.sock.readable() { // what waits here unread has come in time
			r.pool.stalled(r)
		}
		r.extend()
		block, err = c.gatherHeader(r.slot.cfg.MaxHeader, &r.stderr)
	}
	return block, err
}

// unseen tells whether err is the end of a connection that no worker had come for,
// as when the server was stopped with the request in its backlog: a worker answers
// the probe that goes ahead of the request before it reads on. On a unix socket
// that answer would have come before the end; a network may lose it.
func (r *Response) unseen(err error) bool {
	c := r.slot.conn
	return (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)) &&
		c.probe && !c.accepted && !c.answered && r.slot.cfg.Network == "unix"
}

// ReadAll reads the rest of the body. The error is nil only after END_REQUEST for
// this request with status complete, and with as many bytes as PHP's
// Content-Length promised, if it made one. By then the worker's slot is free
// again, or settling. The slice is the caller's to keep.
func (r *Response) ReadAll() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var body []byte
	for {
		if err := r.advance(); err == io.EOF {
			return body, nil
		} else if err != nil {
			return nil, err
		}
		dec := &r.slot.conn.dec
		body = slices.Grow(body, dec.left)
		n, err := dec.readInto(body[len(body):cap(body)])
		if err != nil {
			return nil, r.fail(PhaseBody, err)
		}
		body = body[:len(body)+n]
		if err := r.grow(n); err != nil {
			return nil, err
		}
	}
}

// Next returns the next piece of the body, as PHP flushed it or smaller. It is
// valid until the next call of any method. After the proper end the error is
// io.EOF, and never otherwise.
func (r *Response) Next() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.advance(); err != nil {
		return nil, err
	}
	chunk, err := r.slot.conn.dec.chunk()
	if err != nil {
		return nil, r.fail(PhaseBody, err)
	}
	if err := r.grow(len(chunk)); err != nil {
		return nil, err
	}
	r.pending = len(chunk)
	return chunk, nil
}

// advance moves to body content that has not been taken. At the end it returns
// what the response ended with.
func (r *Response) advance() error {
	if r.err != nil {
		return r.err
	}
	c := r.slot.conn
	c.dec.skip(r.pending)
	r.pending = 0
	if r.silence > 0 {
		c.readBy(earlier(r.deadline, time.Now().Add(r.silence)))
	} else if r.short && !c.dec.buffered() { // most answers are here by now
		r.extend()
	}
	err := c.nextStdout(&r.stderr)
	if err == errEnded {
		return r.finish()
	}
	if err != nil {
		return r.fail(PhaseBody, err)
	}
	return nil
}

// extend lets the connection wait as long as the response may.
func (r *Response) extend() {
	r.slot.conn.readBy(r.deadline)
	r.short = false
}

// grow counts n more bytes of body.
func (r *Response) grow(n int) error {
	r.got += int64(n)
	if r.got > r.limit {
		return r.abandon(PhaseBody, fmt.Errorf("%w: body over %d bytes", ErrTooLarge, r.limit))
	}
	return nil
}

// SetStream makes the answer a stream, for [Response.Next]: from now on silence is
// the longest wait for the next piece (0: as total) and total the longest for all
// of it, in place of the request's timeout; its body may be of any size. A stream
// that is closed or canceled has PHP's output refused, so that PHP stops at its next
// flush, where another answer's script would be left to run to its end.
func (r *Response) SetStream(silence, total time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil || r.slot.stream {
		return
	}
	r.silence = silence
	r.limit = math.MaxInt64
	r.deadline = time.Now().Add(total)
	r.slot.stream = true
	r.extend()
	r.pool.startedStream()
}

// Stderr returns the end of what PHP wrote to its error stream, and how many bytes
// before it did not fit into Config.MaxStderr. It is complete after the end of the body.
func (r *Response) Stderr() (text []byte, dropped int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stderr.cut()
	return r.stderr.text, r.stderr.dropped
}

// Close gives up what has not been read; after the end it does nothing. A blocked
// ReadAll or Next returns ErrClosed.
func (r *Response) Close() {
	if !r.mu.TryLock() { // somebody is reading
		r.closing.Store(true)
		r.slot.conn.interrupt(r.use)
		r.mu.Lock()
	}
	defer r.mu.Unlock()
	if r.err == nil {
		r.abandon(PhaseBody, ErrClosed)
	}
}

// Freed is [Freed] of how the response ended. It is called after Close, when that
// changes no more.
func (r *Response) Freed() <-chan struct{} {
	if r.err == io.EOF { // as a rule
		return nil
	}
	return Freed(r.err)
}

// finish takes a proper END_REQUEST: the slot is released, or settles, and then
// the answer must add up.
func (r *Response) finish() error {
	r.stop()
	r.pool.ended(r.slot, r.timeout, r.script, r.id)
	if promised := r.Header.Get("Content-Length"); promised != "" {
		if n, err := strconv.ParseInt(promised, 10, 64); err != nil || n != r.got {
			return r.failed(PhaseEnd, SentYes,
				fmt.Errorf("%w: %d bytes of body, Content-Length says %.20q", ErrTruncated, r.got, promised))
		}
	}
	r.err = io.EOF
	r.pool.count(func(s *Stats) { s.Completed++; s.countStderr(&r.stderr) })
	return io.EOF
}

// fail ends the response by an error of its connection: a deadline or interruption
// leaves a script that may be running, everything else a connection to be closed.
func (r *Response) fail(phase Phase, err error) error {
	c := r.slot.conn
	if isTimeout(err) {
		return r.abandon(phase, r.cause(err))
	}
	r.stop()
	if c.probe && r.use == 1 && c.accepted && !c.answered {
		r.pool.doubt(c) // PHP before 8.2 closes behind the probe
	}
	r.pool.drop(c) // now the writing goroutine, if any, has ended
	sent := r.sent()
	if c.sent == 0 || r.unseen(err) {
		sent = SentNo
	}
	if c.sendErr != nil && !c.answered {
		phase = PhaseSend
	}
	switch {
	case errors.Is(err, ErrProtocol), errors.Is(err, ErrOverloaded):
	case errors.Is(err, net.ErrClosed):
		err = fmt.Errorf("%w: %w", ErrClosed, err)
	case errors.Is(err, io.EOF): // which says well of a response
		err = fmt.Errorf("%w: the connection was closed", ErrTruncated)
	default:
		err = fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	r.pool.release(r.slot, false)
	return r.failed(phase, sent, err)
}

// abandon ends the response early while its script may be running: the slot
// settles. A stream's script is made to stop; where its end cannot be seen, the
// connection is closed and the slot is free.
func (r *Response) abandon(phase Phase, err error) error {
	r.stop()
	sent := r.sent()
	r.slot.freed = make(chan struct{})
	if r.slot.stream && !r.slot.conn.refuseOutput() {
		r.pool.drop(r.slot.conn)
		r.pool.release(r.slot, false)
	} else {
		r.pool.settle(r.slot, r.timeout, r.script, r.id)
	}
	return r.failed(phase, sent, err)
}

// failed records how the response ended, when its slot has been seen to.
func (r *Response) failed(phase Phase, sent Sent, err error) error {
	r.err = &Error{Phase: phase, Sent: sent, Script: r.script, ID: r.id, Err: err, freed: r.slot.freed}
	r.pool.countFailure(phase, err)
	r.pool.count(func(s *Stats) { s.countStderr(&r.stderr) })
	return r.err
}

func (r *Response) sent() Sent {
	if r.slot.conn.answered {
		return SentYes
	}
	return SentMaybe
}

// cause says why a deadline or an interruption ended the waiting.
func (r *Response) cause(err error) error {
	switch {
	case !isTimeout(err):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case r.ctx.Err() != nil:
		return contextError(r.ctx)
	case r.closing.Load():
		return ErrClosed
	case r.slot.stream && time.Now().Before(r.deadline):
		return fmt.Errorf("%w: nothing for %v", ErrTimeout, r.silence)
	}
	return fmt.Errorf("%w after %v", ErrTimeout, time.Since(r.slot.since).Round(time.Millisecond))
}

// boundedText keeps the last limit bytes of a text, where PHP says what ended the
// script, and counts the rest.
type boundedText struct {
	text    []byte
	limit   int
	dropped int
}

func (t *boundedText) add(b []byte) {
	t.text = append(t.text, b...)
	if len(t.text) > 2*t.limit { // seldom, so that little is moved
		t.cut()
	}
}

// cut drops what is beyond the limit.
func (t *boundedText) cut() {
	if extra := len(t.text) - t.limit; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
		t.dropped += extra
	}
}
