package ws

import (
	"bytes"
	"compress/flate"
	"net/http"
	"runtime"
	"strings"
	"sync"

	"wsfpm/session"
)

// deflateFrom is the size of the smallest message that is compressed, in bytes: below it
// the gain is small.
const deflateFrom = 512

// rsv1 marks the first frame of a compressed message (RFC 7692, 6).
const rsv1 = 0x40

// flushed ends every compressed message and is not sent (RFC 7692, 7.2.1).
const flushed = "\x00\x00\xff\xff"

// agreeDeflate returns the response to the first acceptable permessage-deflate offer, or ""
// (RFC 7692, 5 and 7.1). It negotiates no context takeover for both sides: a push is then
// compressed once for all clients, and an idle connection holds no window.
func agreeDeflate(offers []string) string {
	for _, line := range offers {
		for offer := range strings.SplitSeq(line, ",") {
			if answer := acceptOffer(offer); answer != "" {
				return answer
			}
		}
	}
	return ""
}

// acceptOffer returns the response to one offer, or "" to decline it. An offer with an
// unknown, repeated or invalid parameter must be declined.
func acceptOffer(offer string) string {
	name, rest, more := strings.Cut(offer, ";")
	if !strings.EqualFold(strings.TrimSpace(name), "permessage-deflate") {
		return ""
	}
	answer := "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	seen := make(map[string]bool)
	for more {
		var param string
		param, rest, more = strings.Cut(rest, ";")
		key, value, valued := strings.Cut(param, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if seen[key] {
			return ""
		}
		seen[key] = true
		bits := windowBits(value)
		switch {
		case (key == "server_no_context_takeover" || key == "client_no_context_takeover") && !valued:
		case key == "client_max_window_bits" && (!valued || bits > 0):
			// A hint: we take any window.
		case key == "server_max_window_bits" && bits == 15:
			answer += "; server_max_window_bits=15"
		default: // compress/flate has only a window of 15 bits
			return ""
		}
	}
	return answer
}

// windowBits parses a window size, 8 to 15, bare or quoted; otherwise it returns 0.
func windowBits(value string) int {
	value = strings.TrimSpace(value)
	if len(value) > 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = value[1 : len(value)-1]
	}
	for bits, text := range [...]string{8: "8", 9: "9", 10: "10", 11: "11", 12: "12", 13: "13", 14: "14", 15: "15"} {
		if value == text && text != "" {
			return bits
		}
	}
	return 0
}

// Negotiate agrees on permessage-deflate with the client's handshake headers, if the limits
// enable it. It must be called before messages are queued: the result is final.
func (c *Conn) Negotiate(handshake http.Header) {
	if c.limits.Load().Compression {
		c.deflates = agreeDeflate(handshake.Values("Sec-WebSocket-Extensions")) != ""
	}
}

// encoding returns the message as encoded for this client. The first call for a message
// compresses it.
func (c *Conn) encoding(m *session.Message) *session.Encoding {
	switch {
	case c.pinged != nil:
		return c.shared.wrapped.encoding(m, c.deflates)
	case !c.deflates || len(m.Data()) < deflateFrom:
		return m.Encoding(c.shared.plain)
	}
	return m.Encoding(c.shared.deflated)
}

// deflater compresses one message at a time.
type deflater struct {
	w   *flate.Writer // 0.6 MB
	out bytes.Buffer
}

// deflaters are at most GOMAXPROCS compressors: as many messages are compressed at the same
// time.
type deflaters chan *deflater

func newDeflaters() deflaters {
	n := runtime.GOMAXPROCS(0)
	places := make(deflaters, n)
	for range n {
		places <- nil // made when needed
	}
	return places
}

// deflate returns the compressed frame of a payload whose uncompressed frame begins with
// first, or nil if that is not longer.
func (places deflaters) deflate(first byte, payload []byte) []byte {
	d := <-places
	if d == nil {
		d = &deflater{}
		d.w, _ = flate.NewWriter(&d.out, flate.BestSpeed) // a known level: no error
	}
	defer func() { places <- d }()
	return d.deflate(first, payload)
}

// deflateEncoder returns an encoder of compressed frames, which falls back to the plain
// frame if that is not longer.
func deflateEncoder(plain *session.Encoder, places deflaters) *session.Encoder {
	return &session.Encoder{Instead: plain, Encode: func(m *session.Message) []byte {
		return places.deflate(dataByte(m), m.Data())
	}}
}

func (d *deflater) deflate(first byte, data []byte) []byte {
	const keep = 1 << 20
	d.out.Reset()
	d.w.Reset(&d.out)
	_, _ = d.w.Write(data) // into memory
	_ = d.w.Flush()
	payload := bytes.TrimSuffix(d.out.Bytes(), []byte(flushed))
	if len(payload) >= len(data) {
		return nil
	}
	frame := appendFrameHeader(make([]byte, 0, len(payload)+session.Headroom), first|rsv1, len(payload))
	frame = append(frame, payload...)
	if d.out.Cap() > keep {
		d.out = bytes.Buffer{}
	}
	return frame
}

// inflaters is a pool of decompressors, of 40 KB each.
type inflaters struct{ pool sync.Pool }

// get returns a decompressor that reads from r.
func (i *inflaters) get(r *bytes.Reader) flateReader {
	f, ok := i.pool.Get().(flateReader)
	if !ok {
		return flate.NewReader(r).(flateReader)
	}
	_ = f.Reset(r, nil) // never fails
	return f
}
