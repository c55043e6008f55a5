package session

import (
	"sync"
	"sync/atomic"
)

// Headroom is how many bytes an [Encoder] may put in front of a payload.
const Headroom = 10

// Message is a payload for clients, text or binary, with its encodings for transports.
// Each encoding is made once, however many clients share the message. Otherwise it is
// immutable. It is safe for concurrent use.
type Message struct {
	first  Encoding // its bytes are Headroom bytes, then the payload
	by     atomic.Pointer[Encoder]
	others atomic.Pointer[other]
	mu     sync.Mutex // held to set by or others
	binary bool
	head   *Head // nil: none
}

// Head is what a message carries beside its payload, for transports whose clients are told
// more than the payload: see the protocol wsfpm.v1. Other transports ignore it.
type Head struct {
	// At is the position of an entry of the log. Zero: the message was not stored.
	At Position
	// From is the address of the client whose frame was relayed, its user or its connection;
	// "" of all other messages.
	From string
	// Wrapped says, with From, that the payload has it already, in the form of wsfpm.v1.
	Wrapped bool
	// Re is the id of the client's message that this one answers.
	Re string
	// Raw is the whole message in the form of wsfpm.v1, in place of the payload, such as a
	// hello. Other transports do not send a message with it.
	Raw []byte
}

// Encoding is a message, or another sequence of bytes, in the form that is sent to
// clients.
type Encoding struct {
	bytes []byte
	skip  uint8 // bytes at the beginning that do not belong to it
	// Waits is for the owner of the queues: in how many of them the encoding counts.
	Waits atomic.Int32
}

// Encoder makes one form of messages, such as a frame. A transport has one for each
// form, and shares it between its clients: an Encoder is known by its address.
type Encoder struct {
	// Header appends to b what stands in front of the payload, at most Headroom bytes,
	// in a form that leaves the payload as it is.
	Header func(b []byte, m *Message) []byte
	// Encode makes any other form, when Header is nil. Where it returns nil the
	// message's encoding by Instead is taken.
	Encode  func(m *Message) []byte
	Instead *Encoder
}

// other is an encoding that is not in the message's own memory.
type other struct {
	by   *Encoder
	next *other
	made sync.Once
	own  Encoding // of no bytes: that by by.Instead is taken
}

// NewMessage copies data into a new message: a text message, or a binary one.
// The caller checks that text is UTF-8.
func NewMessage(isBinary bool, data []byte) *Message {
	room := make([]byte, Headroom+len(data))
	copy(room[Headroom:], data)
	return &Message{binary: isBinary, first: Encoding{bytes: room}}
}

// NewMessageWith is [NewMessage] with a head.
func NewMessageWith(h Head, isBinary bool, data []byte) *Message {
	m := NewMessage(isBinary, data)
	m.head = &h
	return m
}

// NewEncoding makes an encoding of its bytes, which must not be changed any more.
func NewEncoding(bytes []byte) *Encoding { return &Encoding{bytes: bytes} }

// Binary reports whether the message is binary; otherwise it is text.
func (m *Message) Binary() bool { return m.binary }

// Data is the payload. It must not be changed.
func (m *Message) Data() []byte { return m.first.bytes[Headroom:] }

// Head is what the message carries beside its payload.
func (m *Message) Head() Head {
	if m.head == nil {
		return Head{}
	}
	return *m.head
}

// isRelayed reports whether the message is a frame of a client.
func (m *Message) isRelayed() bool { return m.head != nil && m.head.From != "" }

// Encoding is the message in the form that by makes at its first call. The first
// encoder with a Header writes it into the message's own memory.
func (m *Message) Encoding(by *Encoder) *Encoding {
	if m.by.Load() == by {
		return &m.first
	}
	o := m.other(by)
	if o == nil {
		o = m.add(by)
	}
	if o == nil {
		return &m.first
	}
	return o.encoding(m)
}

// other finds what add has added, or nil.
func (m *Message) other(by *Encoder) *other {
	o := m.others.Load()
	for o != nil && o.by != by {
		o = o.next
	}
	return o
}

// add makes the first encoding, and returns nil, or adds another one to be made.
func (m *Message) add(by *Encoder) *other {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch o := m.other(by); {
	case o != nil:
		return o
	case m.by.Load() == by:
		return nil
	case m.by.Load() == nil && by.Header != nil:
		room := m.first.bytes
		n := len(by.Header(room[:0:Headroom], m))
		m.first.skip = uint8(Headroom - n)
		copy(room[m.first.skip:Headroom], room[:n])
		m.by.Store(by)
		return nil
	}
	o := &other{by: by, next: m.others.Load()}
	m.others.Store(o)
	return o
}

// encoding waits until the encoding has been made.
func (o *other) encoding(m *Message) *Encoding {
	o.made.Do(func() {
		if o.by.Header == nil {
			o.own.bytes = o.by.Encode(m)
			return
		}
		o.own.bytes = append(o.by.Header(make([]byte, 0, Headroom+len(m.Data())), m), m.Data()...)
	})
	if o.own.bytes == nil {
		return m.Encoding(o.by.Instead)
	}
	return &o.own
}

// Bytes is the encoding as clients are sent it. It must not be changed.
func (e *Encoding) Bytes() []byte { return e.bytes[e.skip:] }

// Len is the number of its bytes.
func (e *Encoding) Len() int { return len(e.bytes) - int(e.skip) }
