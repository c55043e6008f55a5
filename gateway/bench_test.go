package gateway

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"wsfpm/fcgi/fcgitest"
	"wsfpm/gateway/config"
	"wsfpm/gateway/ws"
)

// cannedServer answers every FastCGI request with the same bytes and allocates
// nothing while it does.
func cannedServer(b *testing.B, stdout string) (address string) {
	b.Helper()
	listener, err := net.Listen("unix", b.TempDir()+"/fpm.sock")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go answerCanned(c, fcgitest.Bytes(stdout))
		}
	}()
	return listener.Addr().String()
}

// answerCanned serves one connection: an answer at the end of each request's
// body, and the sign of life that is asked for behind it.
func answerCanned(c net.Conn, answer []byte) {
	defer c.Close()
	alive := []byte{1, fcgitest.GetValuesResult, 0, 0, 0, 0, 0, 0}
	in := bufio.NewReader(c)
	var header [8]byte
	for {
		if _, err := io.ReadFull(in, header[:]); err != nil {
			return
		}
		length := int(binary.BigEndian.Uint16(header[4:]))
		if _, err := in.Discard(length + int(header[6])); err != nil {
			return
		}
		switch {
		case header[1] == fcgitest.Stdin && length == 0:
			_, _ = c.Write(answer)
		case header[1] == fcgitest.GetValues:
			_, _ = c.Write(alive)
		}
	}
}

// BenchmarkMessage is the walk of one message from the inbox to the outbox,
// PHP and the client's socket aside.
func BenchmarkMessage(b *testing.B) {
	address := cannedServer(b, "Content-type: text/html; charset=UTF-8\r\nX-Powered-By: PHP/8.2.0\r\n\r\n"+
		"hello, this is an answer of sixty-four bytes, as small as usual.")
	h := start(b, echo, func(c *config.Config) {
		c.FPM["default"].Network, c.FPM["default"].Addr = "unix", address
		c.Limits.MessagesPerSecond = 0
	})
	p := h.dial("/", nil)
	var c *connection
	h.Gateway.mu.Lock()
	for each := range h.live {
		c = each
	}
	h.Gateway.mu.Unlock()
	go func() {
		for {
			if _, _, err := p.Read(b.Context()); err != nil {
				return
			}
		}
	}()
	m := ws.Message{Data: []byte("hello, this is a message of sixty-four bytes, as small as usual.")}
	b.ReportAllocs()
	for b.Loop() {
		c.message(m)
	}
}
