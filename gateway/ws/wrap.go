package ws

import (
	"wsfpm/gateway/envelope"
	"wsfpm/session"
)

// Wrap makes the connection send each message in an envelope of the protocol wsfpm.v1, as a
// text frame. It must be called before messages are queued. Pinged is called after each ping,
// without a lock of the connection, on the scheduler's goroutine: it must not wait. What it
// queues is written afterwards.
func (c *Conn) Wrap(pinged func()) { c.pinged = pinged }

// wrapped are the encoders of envelopes.
type wrapped struct{ plain, deflated *session.Encoder }

func newWrapped(places deflaters) wrapped {
	plain := &session.Encoder{Encode: envelopeFrame}
	return wrapped{plain, &session.Encoder{Instead: plain, Encode: func(m *session.Message) []byte {
		payload := framePayload(m.Encoding(plain).Bytes())
		if len(payload) < deflateFrom {
			return nil
		}
		return places.deflate(fin|opText, payload)
	}}}
}

// encoding returns the envelope of a message, which the first call makes.
func (w *wrapped) encoding(m *session.Message, deflate bool) *session.Encoding {
	if deflate {
		return m.Encoding(w.deflated)
	}
	return m.Encoding(w.plain)
}

// envelopeFrame returns the frame of a message's envelope.
func envelopeFrame(m *session.Message) []byte {
	room := make([]byte, session.Headroom, session.Headroom+envelope.Size(m))
	room = envelope.Append(room, m)
	var header [session.Headroom]byte
	h := appendFrameHeader(header[:0], fin|opText, len(room)-session.Headroom)
	frame := room[session.Headroom-len(h):]
	copy(frame, h)
	return frame
}

// framePayload returns the payload of a frame of this package (RFC 6455, 5.2).
func framePayload(frame []byte) []byte {
	switch frame[1] {
	case 126:
		return frame[4:]
	case 127:
		return frame[10:]
	}
	return frame[2:]
}
