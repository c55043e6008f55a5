// Package relay holds the frames of one client between its socket and those that get them: a
// pure state machine, which knows no clock, sockets, Redis or PHP.
//
//	var l relay.Lane
//	send, replaced := l.Offer(frame, of, now)      // send it now, or it waits for the end of a span
//	l.Sent(frame, of, now, 64<<10)                 // it is sent: the script may get a copy
//	n := l.Bytes()                                 // the memory of what waits
//	at := l.Next()                                 // when to call Due and Copies
//	frame, of, found := l.Due(now)
//
// The script gets its copies as one message, see [Body].
package relay

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"time"

	"wsfpm/gateway/envelope"
	"wsfpm/session"
)

// Frame is one message of a client. Its data may be a part of an envelope, which can be much
// larger, and ends with the message: a [Lane] keeps copies only.
type Frame struct {
	Binary bool
	Data   []byte
	own    bool // Data is a copy already
}

// kept returns the frame with memory of its own.
func (f Frame) kept() Frame {
	if !f.own {
		f.Data, f.own = bytes.Clone(f.Data), true
	}
	return f
}

// Overhead is the memory of a frame in a lane beside its data, in bytes.
const Overhead = 64

func (f Frame) bytes() int { return len(f.Data) + Overhead }

// Command returns what sends a frame on, of the client that from names and its connection:
// nothing of the frame decides where it goes, and whose word it is. The command has a copy of the
// data.
func Command(f Frame, r *session.Relay, from session.Address, conn string) session.Command {
	c := session.Command{To: []session.Address{r.To}, Message: envelope.Relayed(from.String(), r.Raw, f.Binary, f.Data)}
	if !r.Echo {
		c.Except = []session.Address{session.Conn(conn)}
	}
	return c
}

// Lane is where the frames of one client wait. The zero value is empty. It is used by one
// goroutine at a time.
type Lane struct {
	opens time.Time      // the end of the span, see session.Relay.Latest
	held  Frame          // the newest of the span
	of    *session.Relay // that of held; nil: none is held

	copies []copied
	bytes  int // memory of copies
	missed int // copies dropped for lack of room since the last Copies
	copyAt time.Time
}

// copied is a frame that the script is to get.
type copied struct {
	Frame
	of *session.Relay
}

// Offer takes a frame of a client with relay r. It reports whether the frame is to be sent now.
// If not, it waits for the end of the span, in place of one that waited before, if any.
func (l *Lane) Offer(f Frame, r *session.Relay, now time.Time) (send, replaced bool) {
	if r.Latest <= 0 || l.of == nil && !now.Before(l.opens) {
		l.opens = now.Add(ms(r.Latest))
		return true, false
	}
	replaced = l.of != nil
	l.held, l.of = f.kept(), r
	return false, replaced
}

// Due removes the frame that waits, with its relay, if its span is over. The next span begins.
func (l *Lane) Due(now time.Time) (f Frame, r *session.Relay, found bool) {
	if l.of == nil || now.Before(l.opens) {
		return f, nil, false
	}
	return l.takeHeld(now)
}

// Rest removes the frame that waits, for the end of the connection.
func (l *Lane) Rest() (f Frame, r *session.Relay, found bool) {
	if l.of == nil {
		return f, nil, false
	}
	return l.takeHeld(l.opens)
}

func (l *Lane) takeHeld(now time.Time) (Frame, *session.Relay, bool) {
	f, r := l.held, l.of
	l.held, l.of = Frame{}, nil
	l.opens = now.Add(ms(r.Latest))
	return f, r, true
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// None as the most that is kept drops the newest copy too.
const None = -1

// Sent keeps a copy of a frame that was sent, if relay r wants that. At most `most` bytes are
// kept, with [Overhead] for each; the oldest copies give way. A single one fits always but in
// [None].
func (l *Lane) Sent(f Frame, r *session.Relay, now time.Time, most int) {
	if r.Copy <= 0 {
		return
	}
	if len(l.copies) == 0 {
		l.copyAt = now.Add(ms(r.Copy))
	}
	l.copies = append(l.copies, copied{f.kept(), r})
	l.bytes += f.bytes()
	dropped, least := 0, 1
	if most == None {
		least = 0
	}
	for ; l.bytes > most && dropped < len(l.copies)-least; dropped++ {
		l.bytes -= l.copies[dropped].bytes()
		l.copies[dropped] = copied{}
	}
	l.copies = l.copies[dropped:]
	l.missed += dropped
}

// Bytes is the memory of the frames in the lane.
func (l *Lane) Bytes() int {
	if l.of != nil {
		return l.bytes + l.held.bytes()
	}
	return l.bytes
}

// Copies are what the script gets as one message.
type Copies struct {
	Missed int // frames before them, for which there was no room
	frames []copied
}

// Len is the number of frames.
func (c *Copies) Len() int { return len(c.frames) }

// Copies removes the copies that are due, or all at the end of the connection. Found is false
// without any.
func (l *Lane) Copies(now time.Time, end bool) (c Copies, found bool) {
	if len(l.copies) == 0 || !end && now.Before(l.copyAt) {
		return c, false
	}
	c = Copies{l.missed, l.copies}
	l.copies, l.missed, l.bytes = nil, 0, 0
	return c, true
}

// Next is when something is due; the zero value: nothing is.
func (l *Lane) Next() (at time.Time) {
	if l.of != nil {
		at = l.opens
	}
	if len(l.copies) > 0 && (at.IsZero() || l.copyAt.Before(at)) {
		at = l.copyAt
	}
	return at
}

// Body returns the body of the message that a script gets: a list of JSON objects as in
// commands, each with the address, and the text in data or the bytes in base64.
func (c *Copies) Body() ([]byte, error) {
	type object struct {
		To     string  `json:"to"`
		Data   *string `json:"data,omitempty"`
		Base64 *string `json:"base64,omitempty"`
	}
	list := make([]object, 0, len(c.frames))
	for _, f := range c.frames {
		o, text := object{To: f.of.To.String()}, string(f.Data)
		if o.Data = &text; f.Binary {
			text = base64.StdEncoding.EncodeToString(f.Data)
			o.Data, o.Base64 = nil, &text
		}
		list = append(list, o)
	}
	return json.Marshal(list)
}
