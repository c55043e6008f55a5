package session

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// Message is one WebSocket message on its way to clients. It is kept in the
// form in which it goes onto the wire, one final unmasked frame (RFC 6455,
// 5.2), so that a push to many clients is encoded once. It is immutable and
// shared by all who receive it.
type Message struct {
	plain  Frame
	header int // length of the frame's header

	deflate  sync.Once
	deflated *Frame
}

// Frame is an encoded frame. It counts the queues in which it waits, so that
// its memory, which they share, is counted once.
type Frame struct {
	bytes []byte
	waits atomic.Int32
}

// NewFrame makes a frame of its bytes, which must not be changed any more.
func NewFrame(bytes []byte) *Frame { return &Frame{bytes: bytes} }

// Bytes is the frame as it goes onto the wire. It must not be changed.
func (f *Frame) Bytes() []byte { return f.bytes }

// Enter notes that the frame waits in one more queue, and reports whether that
// is the only one.
func (f *Frame) Enter() (first bool) { return f.waits.Add(1) == 1 }

// Leave undoes one Enter, and reports whether the frame waits in no other queue.
func (f *Frame) Leave() (last bool) { return f.waits.Add(-1) == 0 }

// NewMessage copies data into a new message: a text message, or a binary one.
// The caller checks that text is UTF-8.
func NewMessage(isBinary bool, data []byte) *Message {
	first := byte(0x81) // FIN, text
	if isBinary {
		first = 0x82
	}
	frame := AppendFrameHeader(make([]byte, 0, len(data)+10), first, len(data))
	return &Message{header: len(frame), plain: Frame{bytes: append(frame, data...)}}
}

// AppendFrameHeader appends to b the header of an unmasked frame: its first
// byte (FIN, RSV and opcode bits) and the length of its payload in the
// shortest of the three forms of RFC 6455, 5.2.
func AppendFrameHeader(b []byte, first byte, length int) []byte {
	b = append(b, first)
	switch {
	case length < 126:
		return append(b, byte(length))
	case length <= 0xffff:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(length))
}

// Binary reports whether the message is binary; otherwise it is text.
func (m *Message) Binary() bool { return m.plain.bytes[0]&0x0f == 0x2 }

// Data is the payload. It must not be changed.
func (m *Message) Data() []byte { return m.plain.bytes[m.header:] }

// Frame is the whole encoded frame. It must not be changed.
func (m *Message) Frame() []byte { return m.plain.bytes }

// Plain is the encoded frame for queues.
func (m *Message) Plain() *Frame { return &m.plain }

// Deflated is the frame in the compressed form that compress makes of the
// message at its first call; later calls return the same frame. A push is so
// compressed once, however many clients take it compressed.
func (m *Message) Deflated(compress func(*Message) *Frame) *Frame {
	m.deflate.Do(func() { m.deflated = compress(m) })
	return m.deflated
}
