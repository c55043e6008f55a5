package ws

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"wsfpm/gateway/out"
)

// FuzzClient lets a client send any bytes and leave. Whatever they are, the
// connection ends, text is UTF-8, messages keep their limit, and the client
// gets whole frames with a Close frame last, if any.
func FuzzClient(f *testing.F) {
	f.Add(masked(0x81, "text"))
	f.Add(bytes.Join([][]byte{masked(0x01, "fr"), masked(0x89, "ping"), masked(0x80, "ag"), masked(0x88, closePayload(1000, "bye"))}, nil))
	f.Add([]byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4})
	f.Add([]byte{0x81, 0xfe, 0, 1})
	f.Add(bytes.Repeat(masked(0x8a, ""), 30))
	f.Add([]byte{0x81, 0x01, 'x'})
	f.Fuzz(func(t *testing.T, sent []byte) {
		const limit = 1000
		server, client := net.Pipe()
		c := upgraded(t, server, Limits{Out: out.Limits{WriteTimeout: patience}, MessageLimit: limit, MaxFragments: 10, ControlRate: 10, ControlBurst: 20})
		answered := make(chan error, 1)
		go func() {
			p := newPeer(client)
			var last byte
			for {
				f, err := p.frame()
				if err != nil {
					answered <- nil
					return
				}
				if last == 0x88 || f.first != 0x88 && f.first != 0x8a {
					t.Errorf("got frame %#x after %#x", f.first, last)
				}
				last = f.first
			}
		}()
		go func() {
			client.SetWriteDeadline(time.Now().Add(patience))
			client.Write(sent)
			client.Close()
		}()
		for _, m := range readEnd(c) {
			if len(m.Data) > limit || !m.Binary && !utf8.Valid(m.Data) {
				t.Errorf("got %d bytes, binary %v", len(m.Data), m.Binary)
			}
		}
		<-answered
		within(t, "the end", c.Ended())
	})
}

// FuzzHeader checks the header parser against what it has read.
func FuzzHeader(f *testing.F) {
	f.Add([]byte{0x81, 0x85, 1, 2, 3, 4})
	f.Add([]byte{0x82, 0xfe, 1, 0, 1, 2, 3, 4})
	f.Add([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, complete, err := parseHeader(b, false)
		if !complete {
			return
		}
		if err != nil || h.size > len(b) || h.length < 0 {
			t.Fatalf("got %+v, %v from %d bytes", h, err, len(b))
		}
		if h.length > 1<<20 {
			return
		}
		again := masked(b[0], string(make([]byte, h.length)))
		if !bytes.Equal(again[:h.size-4], b[:h.size-4]) {
			t.Fatalf("got %+v from % x, which is written % x", h, b[:h.size], again[:h.size])
		}
	})
}

// FuzzOffer answers any offers, by rules that the answer itself keeps.
func FuzzOffer(f *testing.F) {
	f.Add("permessage-deflate; client_max_window_bits, x-other; a=\"1\"")
	f.Add("permessage-deflate; server_max_window_bits=9,permessage-deflate;server_max_window_bits=\"15\"")
	f.Fuzz(func(t *testing.T, offers string) {
		answer := agreeDeflate([]string{offers})
		if answer != "" && acceptOffer(answer) != answer {
			t.Errorf("%q: the answer %q would not be accepted as an offer", offers, answer)
		}
	})
}

// FuzzInflate inflates any bytes within the limit.
func FuzzInflate(f *testing.F) {
	const limit = 10_000
	f.Add([]byte(packed("hello")), true)
	f.Add([]byte(packed(strings.Repeat("x", limit+1))), false)
	f.Add([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), true)
	c := New(&Limits{MessageLimit: limit}, NewShared(0))
	f.Fuzz(func(t *testing.T, payload []byte, text bool) {
		data, err := c.inflate(slices.Clone(payload), text)
		c.input.held.Keep(0)
		if len(data) > limit || text && !utf8.Valid(data) {
			t.Errorf("got %d bytes, %v", len(data), err)
		}
		if used := c.shared.Memory.Used(); used != 0 {
			t.Errorf("%d bytes are still held", used)
		}
	})
}
