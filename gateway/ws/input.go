package ws

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"wsfpm/gateway/out"
	"wsfpm/sockio"
)

// inputBuffer is the size of a read buffer, in bytes. A connection holds one only while it
// has unread input.
const inputBuffer = 16 << 10

// smallFrame is the payload size in bytes from which a frame does not count towards
// Limits.MaxFragments: the message limit bounds the number of larger ones.
const smallFrame = 1 << 10

// errIdle is returned to the library between two messages if there is no input: its call
// ends, and Read waits on a shorter stack.
var errIdle = errors.New("no frame is waiting")

// input is the received data that the library has not read yet. It is split into frames
// here, so that the library never reads a byte of an invalid frame, nor bytes of two frames
// at once.
type input struct {
	ready  func(fd uintptr) bool // readReady, bound once
	buf    *[inputBuffer]byte    // nil if empty
	lo, hi int32                 // unread input: buf[lo:hi]
	rest   []byte                // unread input while buf is given back, see shelve
	err    error                 // of the last readReady
	broken error                 // why there is no more input

	left      int64 // bytes of the current frame that the library has not read
	size      int64 // payload bytes announced for the message so far
	fragments int32 // small frames of the message so far
	final     bool  // the current frame ends its message
	open      bool  // a message is incomplete
	packed    bool  // the message is compressed
	resting   bool  // no data frame came since the last control frame
	peer      *CloseError

	held out.Claim // the message's claim on Shared.Memory

	// Times of the scheduler; 0: none.
	due    time.Duration // read deadline of the current message or frame
	filled time.Duration // when tokens was computed
	unread time.Duration // since when nothing is read; none during Read

	tokens float64 // token bucket of control frames, see Limits.ControlRate
	piled  float64 // extra tokens for frames that arrived while nothing was read
}

// preload sets the initial input: bytes read before the takeover.
func (in *input) preload(early []byte, w *Wheel) {
	if len(early) == 0 {
		return
	}
	in.buf = w.buffer()
	in.hi = int32(copy(in.buf[:], early))
}

// idle reports whether no message and no frame is incomplete.
func (in *input) idle() bool {
	return in.left == 0 && !in.open && in.lo == in.hi && len(in.rest) == 0
}

// fill waits for input from the client and adds it. It holds no buffer while it waits.
func (c *Conn) fill() error {
	in := &c.input
	if err := c.limitWait(); err != nil {
		return err
	}
	if in.buf != nil {
		in.hi = int32(copy(in.buf[:], in.buf[in.lo:in.hi]))
		in.lo = 0
	}
	var err error
	if c.out.Socket.Raw == nil {
		err = c.fillPlain()
	} else if err = c.out.Socket.Raw.Read(in.ready); err == nil {
		err = in.err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = c.overdue(err)
	}
	if err == nil || errors.Is(err, ErrIdle) || errors.Is(err, out.ErrNoMemory) || errors.As(err, new(*violation)) {
		return err
	}
	in.broken = err
	return err
}

// readReady makes one non-blocking read. RawConn.Read calls it again when the socket is
// readable, until it returns true.
func (c *Conn) readReady(fd uintptr) bool {
	in := &c.input
	c.unshelve()
	if in.buf == nil {
		in.buf = c.shared.Wheel.buffer()
	}
	n, err := sockio.Recv(int(fd), in.buf[in.hi:])
	if err == unix.EAGAIN {
		in.piled = 0 // the backlog has been read
		c.shelve()
		in.err = ErrIdle
		return c.yields && in.resting && in.idle()
	}
	in.err = nil
	switch {
	case err != nil:
		in.err = os.NewSyscallError("read", err)
	case n == 0:
		in.err = io.EOF
	default:
		c.took(n)
	}
	return true
}

// fillPlain is fill for a connection without a file descriptor.
func (c *Conn) fillPlain() error {
	in := &c.input
	c.unshelve()
	if in.buf == nil {
		in.buf = c.shared.Wheel.buffer()
	}
	n, err := c.out.Socket.Read(in.buf[in.hi:])
	if n > 0 {
		c.took(n)
		return nil // an error is returned again
	}
	c.dropInput()
	return err
}

// took counts n more bytes of input.
func (c *Conn) took(n int) {
	c.input.hi += int32(n)
	c.input.held.Came(n)
	c.heard.Store(true)
	c.shared.Stats.BytesIn.Add(int64(n))
}

// awaitFrame waits between two messages until there is a frame to read. An idle
// connection's goroutine waits here, without a stack frame of the library.
func (c *Conn) awaitFrame() error {
	for c.input.left == 0 {
		if found, err := c.nextFrame(); found || err != nil {
			return err
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
	return nil
}

// nextFrame makes the next frame of the input the current one. It returns false while the
// header is incomplete; for a control frame, while the frame is incomplete, so that the
// library never waits within one. Pongs are skipped: they only show that the client is
// alive.
func (c *Conn) nextFrame() (bool, error) {
	in := &c.input
	for in.lo < in.hi {
		held := in.buf[in.lo:in.hi]
		h, complete, err := parseHeader(held, c.deflates)
		if err != nil || !complete {
			return false, err
		}
		if !h.control() {
			in.left = int64(h.size) + h.length
			in.buf[in.lo] &^= rsv1 // the library does not decompress
			return true, c.acceptData(h)
		}
		whole := h.size + int(h.length)
		if len(held) < whole {
			return false, nil
		}
		if err := c.acceptControl(h, held[:whole]); err != nil {
			return false, err
		}
		in.resting = true
		if h.opcode == opPong {
			in.lo += int32(whole)
			continue
		}
		in.left = int64(whole)
		return true, nil
	}
	return false, nil
}

// acceptData checks a data frame against its message.
func (c *Conn) acceptData(h header) error {
	in := &c.input
	switch {
	case h.opcode == opContinuation && !in.open:
		return &violation{1002, "continuation of no message"}
	case h.opcode != opContinuation && in.open:
		return &violation{1002, "message within a message"}
	case h.opcode != opContinuation:
		in.fragments, in.size, in.packed = 0, 0, h.packed
	}
	if h.length < smallFrame {
		in.fragments++
	}
	if most := c.limits.Load().MaxFragments; most > 0 && int(in.fragments) > most {
		c.shared.Stats.TooManyFragments.Add(1)
		return &violation{1008, fmt.Sprintf("more than %d frames below %d bytes in one message", most, smallFrame)}
	}
	limit := c.messageLimit()
	most := limit
	if in.packed {
		most += limit/256 + 64 // incompressible data grows
	}
	if h.length > most-in.size {
		return c.tooLarge(limit)
	}
	in.size += h.length
	in.resting = false
	in.final = h.fin
	in.open = !h.fin
	return nil
}

// acceptControl checks a whole control frame, and records a Close frame.
func (c *Conn) acceptControl(h header, frame []byte) error {
	if h.opcode != opClose {
		if !c.allowControl() {
			c.shared.Stats.TooManyControls.Add(1)
			return &violation{1008, "too many control frames"}
		}
		return nil
	}
	payload := slices.Clone(frame[h.size:])
	unmask(payload, frame[h.size-4:h.size])
	said, err := parseClose(payload)
	if err != nil {
		return err
	}
	c.input.peer = &said
	return nil
}

// allowControl takes a token from the bucket of control frames.
func (c *Conn) allowControl() bool {
	l := c.limits.Load()
	if l.ControlRate <= 0 {
		return true
	}
	in := &c.input
	if in.piled >= 1 {
		in.piled--
		return true
	}
	burst, now := max(float64(l.ControlBurst), 1), c.shared.Wheel.Now()
	if in.filled == 0 {
		in.tokens = burst
	} else {
		in.tokens = min(burst, in.tokens+(now-in.filled).Seconds()*l.ControlRate)
	}
	in.filled = now
	if in.tokens < 1 {
		return false
	}
	in.tokens--
	return true
}

// away and back enclose the time in which nothing is read from the client. Control frames
// sent during it arrive in a burst, which does not count against ControlRate.
func (c *Conn) away() {
	if c.limits.Load().ControlRate > 0 {
		c.input.unread = c.shared.Wheel.Now()
	}
}

func (c *Conn) back() {
	in := &c.input
	if in.unread != 0 {
		in.piled += (c.shared.Wheel.Now() - in.unread).Seconds() * c.limits.Load().ControlRate
		in.unread = 0
	}
}

// hold claims n more bytes of the budget for the message, and waits for them if necessary.
// The wait does not count towards the client's time limits.
func (c *Conn) hold(n int64) error {
	held := &c.input.held
	held.Announce(c.input.size)
	if held.TryGrow(n) {
		return nil
	}
	c.shared.Stats.MemoryWaits.Add(1)
	c.pause()
	c.away()
	began := c.shared.Wheel.Now()
	beside := c.shelve()
	err := held.WaitGrow(n, beside, c.Ended())
	c.unshelve()
	c.extendLimit(c.shared.Wheel.Now() - began)
	c.back()
	c.resume()
	return err
}

// pause and resume enclose a wait of Read for something other than the client, in which the
// client's silence does not count.
func (c *Conn) pause()  { c.countRead() }
func (c *Conn) resume() { c.countRead() }

func (c *Conn) countRead() {
	c.mu.Lock()
	c.reads++
	c.mu.Unlock()
}

func (c *Conn) messageLimit() int64 {
	if limit := c.limits.Load().MessageLimit; limit > 0 {
		return limit
	}
	return largestMessage
}

func (c *Conn) tooLarge(limit int64) error {
	c.shared.Stats.MessagesTooLarge.Add(1)
	return &violation{1009, fmt.Sprintf("message is larger than %d bytes", limit)}
}
