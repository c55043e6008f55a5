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
	"time"
)

// maxTries bounds how often a request is sent that no worker has received.
const maxTries = 3

// Response is the answer to one request. The header has arrived; the body must be read
// to its end with ReadAll or Next, or discarded with Close. It is not safe for
// concurrent use, except for Close.
type Response struct {
	// Status is the HTTP status, 200 by default.
	Status int
	// Header holds the header fields in PHP's order, without Status.
	Header Header

	pool     *Pool
	ctx      context.Context // of Do: the call is still in progress
	stop     func() bool     // stops watching ctx
	script   string
	id       string
	timeout  time.Duration
	deadline time.Time
	limit    int64 // bytes of body
	use      uint64
	fields   [8]Field // Header's initial array, saves an allocation

	closing atomic.Bool // here, and short below, they fill a word: 704 bytes in total
	mu      sync.Mutex  // guards what follows, and reading
	short   bool        // the connection's deadline is not yet the response's
	slot    slot
	got     int64 // bytes of body so far
	pending int   // bytes that Next handed out, still in the connection's buffer
	silence time.Duration
	stderr  boundedText
	err     error // how it ended: io.EOF after success
}

func newResponse(ctx context.Context, p *Pool, s slot, r *Request) *Response {
	resp := &Response{
		pool: p, ctx: ctx, slot: s, script: r.Env.Script(), id: r.ID,
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

// readHeader waits for the header block and parses it. A request that no worker has
// received is sent again.
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
		return r.endEarly(PhaseEnd, fmt.Errorf("%w: the answer ended before its header did", ErrProtocol))
	}
	if err != nil {
		return r.fail(PhaseWait, err)
	}
	r.Status, r.Header, err = parseHeader(r.fields[:0], string(block))
	if err != nil {
		return r.endEarly(PhaseWait, fmt.Errorf("%w: %w", ErrProtocol, err))
	}
	return nil
}

// awaitHeader waits for the header block. On a new connection the first wait is short,
// to detect that no worker has accepted it.
func (r *Response) awaitHeader() ([]byte, error) {
	c := r.slot.conn
	block, err := c.gatherHeader(r.slot.cfg.MaxHeader, &r.stderr)
	if isTimeout(err) && r.short && r.ctx.Err() == nil {
		if !c.accepted && !c.sock.readable() { // unread data has arrived in time
			r.pool.stalled(r)
		}
		r.extend()
		block, err = c.gatherHeader(r.slot.cfg.MaxHeader, &r.stderr)
	}
	return block, err
}

// unseen reports whether err is the end of a connection that no worker had accepted,
// as when the server was stopped with the request in its backlog: a worker answers the
// probe before the request first. On a unix socket that reply would have arrived before
// the end; a network may lose it.
func (r *Response) unseen(err error) bool {
	c := r.slot.conn
	return isEnd(err) && c.probe && !c.accepted && !c.answered && r.slot.cfg.Network == "unix"
}

// ReadAll reads the rest of the body. The error is nil only after END_REQUEST with
// status complete, and if the length matches PHP's Content-Length, if any. By then the
// slot is free or settling. The caller owns the slice.
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

// Next returns the next piece of the body, at most one flush of PHP. It is valid until
// the next call of any method. The error is io.EOF only after a complete answer.
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

// advance moves to unread body content. At the end it returns the response's result.
func (r *Response) advance() error {
	if r.err != nil {
		return r.err
	}
	c := r.slot.conn
	c.dec.skip(r.pending)
	r.pending = 0
	if r.silence > 0 {
		c.readBy(earlier(r.deadline, time.Now().Add(r.silence)))
	} else if r.short && !c.dec.buffered() { // most answers have arrived by now
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

// extend sets the connection's deadline to the response's.
func (r *Response) extend() {
	r.slot.conn.readBy(r.deadline)
	r.short = false
}

// grow counts n more bytes of body.
func (r *Response) grow(n int) error {
	r.got += int64(n)
	if r.got > r.limit {
		return r.endEarly(PhaseBody, fmt.Errorf("%w: body over %d bytes", ErrTooLarge, r.limit))
	}
	return nil
}

// SetStream makes the answer a stream, to be read with [Response.Next]: silence bounds
// the wait for each piece (0: total), and total the whole, instead of the request's
// timeout; the size is unlimited. If a stream is closed or canceled PHP's output is
// refused, so that the script stops at its next flush; the script of any other answer
// runs to its end.
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

// Stderr returns the last Config.MaxStderr bytes of PHP's error stream, and how many
// bytes before them were dropped. It is complete after the end of the body.
func (r *Response) Stderr() (text []byte, dropped int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stderr.cut()
	return r.stderr.text, r.stderr.dropped
}

// Close discards the rest of the answer; after the end it does nothing. A blocked
// ReadAll or Next returns ErrClosed.
func (r *Response) Close() {
	if !r.mu.TryLock() { // a read is in progress
		r.closing.Store(true)
		r.slot.conn.interrupt(r.use)
		r.mu.Lock()
	}
	defer r.mu.Unlock()
	if r.err == nil {
		r.endEarly(PhaseBody, ErrClosed)
	}
}

// Granted returns when the request got its slot: until then it waited, then it ran.
func (r *Response) Granted() time.Time { return r.slot.since }

// Freed returns [Freed] of the response's error. Call it after Close.
func (r *Response) Freed() <-chan struct{} {
	if r.err == io.EOF { // the usual case
		return nil
	}
	return Freed(r.err)
}

// finish handles a regular END_REQUEST: it releases the slot or lets it settle, and
// checks the answer's length.
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

// fail ends the response after an error of its connection. After a deadline or
// interruption the script may be running; after any other error the connection is
// closed.
func (r *Response) fail(phase Phase, err error) error {
	c := r.slot.conn
	if isTimeout(err) {
		return r.endEarly(phase, r.cause(err))
	}
	r.stop()
	switch {
	case c.answered:
	case !c.accepted && isEnd(err):
		r.pool.unanswered(c, err)
	case c.probe && r.use == 1 && c.accepted:
		r.pool.doubt(c) // PHP before 8.2 closes after the probe
	}
	r.pool.drop(c) // after this the writing goroutine, if any, has ended
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
	case errors.Is(err, io.EOF): // means success for a response
		err = fmt.Errorf("%w: the connection was closed", ErrTruncated)
	default:
		err = fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	r.pool.release(r.slot, false)
	return r.failed(phase, sent, err)
}

// endEarly ends the response while its script may be running: the slot settles. The
// script of a stream is made to stop; if its end cannot be observed, the connection is
// closed and the slot released.
func (r *Response) endEarly(phase Phase, err error) error {
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

// failed records the response's error. The slot has been released or settles.
func (r *Response) failed(phase Phase, sent Sent, err error) error {
	r.err = &Error{Phase: phase, Sent: sent, Script: r.script, ID: r.id, Err: err, Granted: r.slot.since, freed: r.slot.freed}
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

// cause returns the reason for a deadline or an interruption.
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

// boundedText keeps the last limit bytes of a text, which hold PHP's fatal error, and
// counts the rest.
type boundedText struct {
	text    []byte
	limit   int
	dropped int
}

func (t *boundedText) add(b []byte) {
	t.text = append(t.text, b...)
	if len(t.text) > 2*t.limit { // amortizes moving the text
		t.cut()
	}
}

// cut drops the bytes beyond the limit.
func (t *boundedText) cut() {
	if extra := len(t.text) - t.limit; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
		t.dropped += extra
	}
}
