package ws

import (
	"bytes"
	"net"
	"testing"
	"time"
	"unicode/utf8"
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
		c := upgraded(t, server, Limits{MessageLimit: limit, MaxFragments: 10, ControlRate: 10, ControlBurst: 20, WriteTimeout: patience})
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
		h, complete, err := parseHeader(b)
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
