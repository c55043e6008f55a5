package envelope

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"wsfpm/session"
)

// Append appends the envelope of a message: with the fields of its head, and its payload.
// A text that is a JSON object or list becomes the value of data as it is, any other text
// a JSON string; binary data is base64. The result is UTF-8 and one JSON object.
func Append(b []byte, m *session.Message) []byte {
	h := m.Head()
	if h.Raw != nil {
		return append(b, h.Raw...)
	}
	if h.Wrapped {
		return append(b, m.Data()...)
	}
	b = append(b, '{')
	if h.From != "" {
		b = append(appendString(append(b, `"from":`...), h.From), ',')
	}
	if !h.At.IsZero() {
		b = append(appendString(append(b, `"id":`...), h.At.String()), ',')
	}
	if h.Re != "" {
		b = append(appendString(append(b, `"re":`...), h.Re), ',')
	}
	return append(appendPayload(b, m), '}')
}

// Size is how many bytes Append is likely to need, and enough for most messages.
func Size(m *session.Message) int {
	const fields = 128
	h := m.Head()
	switch {
	case h.Raw != nil:
		return len(h.Raw)
	case m.Binary():
		return fields + base64.StdEncoding.EncodedLen(len(m.Data()))
	}
	return fields + len(m.Data()) + len(m.Data())/8 // of a string, some characters are escaped
}

// Relayed returns a client's frame as others get it: with from, the address of the client, in
// wsfpm.v1. For clients without that it is the text {"from":…,"data":…} too, unless raw is
// set; a binary frame is as it came.
func Relayed(from string, raw, binary bool, data []byte) *session.Message {
	m := session.NewMessageWith(session.Head{From: from}, binary, data)
	if raw || binary {
		return m
	}
	return session.NewMessageWith(session.Head{From: from, Wrapped: true}, false, Append(nil, m))
}

// Hello is the first message to a client.
type Hello struct {
	Conn   string        // the connection's id
	Resume Resume        // whether messages that the client missed follow
	Ping   time.Duration // the time between two messages that show that the connection works; 0: there are none
	User   string        // stands for the client's user; "" without one
	Once   time.Duration // for how long a message may be sent again; 0: it must not be
	Most   int           // messages without a reply that the client may have sent, with Once
}

// Resume is what a client may expect after its connect.
type Resume string

// The values of [Resume].
const (
	Off Resume = "off" // the gateway keeps no messages for this route
	New Resume = "new" // the client named no position
	OK  Resume = "ok"  // the messages after the client's position follow
	Gap Resume = "gap" // messages may be missing
)

// Message returns the hello, which other transports do not send.
func (h Hello) Message() *session.Message {
	b := appendString([]byte(`{"hello":{"conn":`), h.Conn)
	b = appendString(append(b, `,"resume":`...), string(h.Resume))
	b = strconv.AppendFloat(append(b, `,"ping":`...), h.Ping.Seconds(), 'f', -1, 64)
	if h.User != "" {
		b = appendString(append(b, `,"user":`...), h.User)
	}
	if h.Once > 0 {
		b = strconv.AppendFloat(append(b, `,"once":{"for":`...), h.Once.Seconds(), 'f', -1, 64)
		b = append(strconv.AppendInt(append(b, `,"most":`...), int64(h.Most), 10), '}')
	}
	return raw("", append(b, "}}"...))
}

// Reply is a message that answers one of the client's.
type Reply struct {
	To    string           // the id of the client's message
	More  bool             // further replies to it follow
	Error string           // what went wrong, such as [Failed]; "" nothing
	Data  *session.Message // nil: none
	// Unkept: if the client sends its message again, it will not get this reply again.
	Unkept bool
}

// The errors of replies. All but [Failed] are for messages that run once.
const (
	Failed   = "failed"   // the event failed; one that runs once has not happened
	Busy     = "busy"     // nothing has happened, or it still runs: send the message again
	Unknown  = "unknown"  // the script may have run
	Mismatch = "mismatch" // the id was used for another message
	Many     = "many"     // too many messages without a reply
)

// Message returns the reply. It counts as a message to the client, see [session.Head].
func (r Reply) Message() *session.Message {
	b := appendString([]byte(`{"re":`), r.To)
	if r.More {
		b = append(b, `,"more":true`...)
	}
	if r.Error != "" {
		b = appendString(append(b, `,"error":`...), r.Error)
	}
	if r.Unkept {
		b = append(b, `,"kept":false`...)
	}
	if r.Data != nil {
		b = appendPayload(append(b, ','), r.Data)
	}
	return raw(r.To, append(b, '}'))
}

// At returns the message that names the client's position, {"id":"…"}, or {} for the zero
// value. It also shows that the connection works.
func At(p session.Position) *session.Message {
	if p.IsZero() {
		return raw("", []byte("{}"))
	}
	return raw("", append(appendString([]byte(`{"id":`), p.String()), '}'))
}

// Missing returns the message {"gap":true}: the client may have missed messages.
func Missing() *session.Message { return raw("", []byte(`{"gap":true}`)) }

// raw returns a message in the form of this protocol alone.
func raw(re string, text []byte) *session.Message {
	return session.NewMessageWith(session.Head{Re: re, Raw: text}, false, nil)
}

// appendPayload appends the field that holds the payload.
func appendPayload(b []byte, m *session.Message) []byte {
	data := m.Data()
	if m.Binary() {
		b = base64.StdEncoding.AppendEncode(append(b, `"base64":"`...), data)
		return append(b, '"')
	}
	b = append(b, `"data":`...)
	if isComposite(data) {
		return append(b, data...)
	}
	return appendString(b, string(data))
}

// isComposite reports whether a text is a JSON object or list.
func isComposite(text []byte) bool {
	for _, c := range text {
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case '{', '[':
			return utf8.Valid(text) && json.Valid(text)
		}
		break
	}
	return false
}

// appendString appends a JSON string (RFC 8259, 7). Bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	done := 0 // bytes of s that are in b
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[done:i]...), "\uFFFD"...)
				done = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[done:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		i++
		done = i
	}
	return append(append(b, s[done:]...), '"')
}
