package gateway

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"
)

func TestHalfClosedHandshakeIsNot200(t *testing.T) {
	gate := make(chan struct{})
	h := start(t, func(params map[string]string, _ string) (string, string) { <-gate; return "Status: 403", "no" }, nil)
	u, _ := url.Parse(h.web.URL)
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	_ = c.(*net.TCPConn).CloseWrite()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err == nil && answer.StatusCode == 200 {
		t.Errorf("a handshake that nobody accepted was answered with %s", answer.Status)
	}
	close(gate)
}
