package ws

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
	"unicode/utf8"

	"wsfpm/gateway/out"
)

// FuzzCompressedClient is FuzzClient for a client with permessage-deflate:
// whatever its frames inflate to, messages keep their limit and nothing is held
// afterwards.
func FuzzCompressedClient(f *testing.F) {
	f.Add(masked(0xc1, packed("text")))
	f.Add(masked(0xc2, packed(string(make([]byte, 5000)))))
	f.Add(bytes.Join([][]byte{masked(0x41, packed("fragments")[:3]), masked(0x89, "p"), masked(0x80, packed("fragments")[3:])}, nil))
	f.Add(bytes.Join([][]byte{masked(0x81, "plain"), masked(0xc0, "x")}, nil))
	f.Add(masked(0xc9, "ping"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		const limit = 1000
		server, client := net.Pipe()
		shared := NewShared(0)
		c := New(&Limits{Out: out.Limits{WriteTimeout: patience}, MessageLimit: limit, MaxFragments: 10, ControlRate: 10, ControlBurst: 20, Compression: true}, shared)
		r := handshake()
		r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate")
		c.Negotiate(r.Header)
		if err := c.Upgrade(&hijacked{header: http.Header{}, conn: server}, r, ""); err != nil {
			t.Fatal(err)
		}
		defer func() { c.CloseNow(); shared.Wheel.Stop() }()
		go io.Copy(io.Discard, client)
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
		within(t, "the end", c.Ended())
	})
}
