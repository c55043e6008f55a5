package ws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/coder/websocket"

	"wsfpm/gateway/out"
)

// Message is one message of the client, defragmented.
type Message struct {
	Binary bool  // else it is text, and UTF-8
	Mark   uint8 // of its receiver; this package leaves it 0
	Data   []byte
}

// CloseError is the error of Read after a Close frame of the client (RFC 6455, 7.1.5 and
// 7.1.6). Code is 1005 if the frame had none.
type CloseError struct {
	Code   int
	Reason string
}

// Error returns the code and the reason.
func (e CloseError) Error() string {
	return fmt.Sprintf("client closed with %d %q", e.Code, e.Reason)
}

// Read waits for the next whole message. It answers pings and expects pongs meanwhile. One
// goroutine at a time may call it.
//
// Any error is final. [CloseError] is returned after all messages that preceded the
// client's Close frame. After Close, further messages are discarded until the client
// answers with its own Close frame. [Conn.Cause] returns the end as a script sees it. The
// caller releases the memory of a message with [Conn.EndReply].
func (c *Conn) Read() (Message, error) {
	if err := c.beginRead(); err != nil {
		return Message{}, err
	}
	c.back()
	m, err := c.read()
	if errors.Is(err, ErrIdle) {
		c.pauseRead()
		return m, err
	}
	c.away()
	return m, c.endRead(err)
}

// read skips frames until one begins a message to return.
func (c *Conn) read() (Message, error) {
	for {
		if err := c.awaitFrame(); err != nil {
			return Message{}, err
		}
		if err := c.borrow(); err != nil {
			return Message{}, err
		}
		kind, payload, err := c.lib.conn.Reader(context.Background())
		if errors.Is(err, errIdle) {
			continue
		}
		if err != nil {
			return Message{}, err
		}
		data, err := c.receive(payload, kind == websocket.MessageText)
		if err != nil {
			return Message{}, err
		}
		if c.out.State().Closing {
			c.shared.Memory.Release(int64(len(data)))
			continue
		}
		c.shared.Stats.MessagesIn.Add(1)
		c.out.Touch()
		return Message{Binary: kind == websocket.MessageBinary, Data: data}, nil
	}
}

// receive reads a message that has begun. It reads from the library only what has arrived:
// invalid text is found at its first wrong byte, and the wait for the rest is on a short
// stack.
func (c *Conn) receive(payload io.Reader, text bool) ([]byte, error) {
	packed := c.input.packed
	data, err := c.assemble(payload, text && !packed)
	if err == nil && packed {
		data, err = c.inflate(data, text)
	}
	if err != nil {
		data = nil
	}
	if !c.input.held.Keep(int64(len(data))) {
		return nil, out.ErrNoMemory
	}
	return data, err
}

// assemble is receive without decompression and the end of the claim.
func (c *Conn) assemble(payload io.Reader, text bool) ([]byte, error) {
	in := &c.input
	var data []byte
	checked := 0 // bytes of data that are valid UTF-8
	for {
		frame := in.left + int64(c.lib.br.Buffered())
		here := c.lib.br.Buffered() + int(min(int64(in.hi-in.lo), in.left))
		switch {
		case frame > 0 && here == 0:
			if err := c.fill(); err != nil {
				return nil, err
			}
			continue
		case frame > 0:
			var err error
			if data, err = c.grow(data, here, frame); err != nil {
				return nil, err
			}
		}
		n, err := payload.Read(data[len(data) : len(data)+here])
		data = data[:len(data)+n]
		if text && n > 0 {
			whole, ok := wholeCharacters(data[checked:])
			if !ok {
				return nil, &violation{1007, "text is not UTF-8"}
			}
			checked += whole
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) {
			return nil, err
		}
		if text && checked < len(data) {
			return nil, &violation{1007, "text is not UTF-8"}
		}
		c.liftLimit()
		return exact(data), nil
	}
}

// grow makes room for n more bytes of a frame of which frame bytes are missing. The memory
// grows with what has arrived, not with what is announced, and ends at the exact size if
// that is known.
func (c *Conn) grow(data []byte, n int, frame int64) ([]byte, error) {
	need := len(data) + n
	if need <= cap(data) {
		return data, nil
	}
	size := max(need, 2*cap(data))
	if rest := int64(len(data)) + frame; c.input.final && (rest <= int64(size) || rest <= out.Small) {
		size = int(rest)
	}
	if err := c.hold(int64(size - cap(data))); err != nil {
		return nil, err
	}
	grown := make([]byte, len(data), size)
	copy(grown, data)
	return grown, nil
}

// wholeCharacters returns the length of the complete UTF-8 characters at the beginning of
// b, and false if b is not a prefix of valid UTF-8.
func wholeCharacters(b []byte) (int, bool) {
	end := len(b)
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		tail := b[len(b)-i:]
		if !utf8.RuneStart(tail[0]) {
			continue
		}
		if !utf8.FullRune(tail) {
			end -= i
		}
		break
	}
	return end, utf8.Valid(b[:end])
}

// beginRead notes that a Read is in progress.
func (c *Conn) beginRead() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.fault != nil:
		return c.fault
	case c.dead, !c.open:
		return ErrClosed
	}
	c.active = true
	c.reads++
	c.countInputLocked(false)
	return nil
}

// pauseRead notes that Read stops waiting and will be called again.
func (c *Conn) pauseRead() {
	c.mu.Lock()
	c.active = false
	c.reads++
	dead := c.dead
	if !dead {
		c.giveBackLocked()
	}
	c.mu.Unlock()
	if dead {
		c.lib.end()
	}
}

// endRead notes that Read returns, and after a final error begins to close.
func (c *Conn) endRead(err error) error {
	c.dropInput()
	c.mu.Lock()
	c.active = false
	c.reads++
	dead := c.dead
	if err != nil {
		err = c.overLocked(err)
		c.freeInput()
	} else if !dead {
		c.countInputLocked(c.input.buf != nil)
	}
	c.unlock()
	if dead {
		c.lib.end()
	}
	if err != nil {
		c.Flush() // a Close frame may have been queued
	}
	return err
}

// overLocked handles the error that ended reading, and returns the error for the caller.
func (c *Conn) overLocked(err error) error {
	in := &c.input
	var broken *violation
	switch {
	case c.dead:
		c.fault = fmt.Errorf("read: %w", ErrClosed)
	case in.peer != nil && !errors.As(err, &broken) && !errors.Is(err, out.ErrNoMemory):
		c.fault = *in.peer
		c.peerClosed = true
		c.cause.set(in.peer.Code, in.peer.Reason)
		// The client has closed: it must not keep the socket by reading slowly what is
		// still queued.
		c.closeWithinLocked(max(closeWait, c.limits.Load().Out.WriteTimeout))
		c.endLocked()
	case errors.Is(err, out.ErrNoMemory):
		c.shared.Stats.MessagesEvicted.Add(1)
		c.fault = fmt.Errorf("read: %w", err)
		c.refuseLocked(1013, "try again later")
	case errors.As(err, &broken):
		c.fault = fmt.Errorf("read: %w", broken)
		c.refuseLocked(broken.code, broken.reason)
	case in.broken != nil:
		c.fault = fmt.Errorf("read: connection is lost: %w", in.broken)
		c.cause.set(1006, "")
		c.endLocked()
	default:
		c.fault = fmt.Errorf("read: %w", err)
		c.refuseLocked(1002, "protocol error")
	}
	return c.fault
}
