package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
)

// rawAnswer writes a handshake with these lines and returns the answer's header
// block as it came over the wire.
func (h *harness) rawAnswer(lines ...string) string {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.web.Listener.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	request := "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	if _, err := io.WriteString(conn, request+strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		h.t.Fatal(err)
	}
	var block []byte
	for one := make([]byte, 1); !strings.HasSuffix(string(block), "\r\n\r\n"); block = append(block, one...) {
		if _, err := io.ReadFull(conn, one); err != nil {
			h.t.Fatalf("the answer ends at %q: %v", block, err)
		}
	}
	return string(block)
}

func TestHeaderNamesAreSpelledAsTheirAuthorsWriteThem(t *testing.T) {
	h := start(t, func(map[string]string, string) (string, string) {
		return "X-DeviceID: 7\r\nx-lower: 1\r\nWS-Protocol: v1", ""
	}, func(c *config.Config) { c.Routes[0].Compression = true })
	for _, test := range []struct{ lines, want []string }{
		{[]string{"Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: v1", "Sec-WebSocket-Extensions: permessage-deflate"}, []string{
			"HTTP/1.1 101 ", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-WebSocket-Protocol: v1",
			"Sec-WebSocket-Extensions: permessage-deflate", "Upgrade: websocket", "Connection: Upgrade", "X-DeviceID: 7", "x-lower: 1",
		}},
		{[]string{"Sec-WebSocket-Version: 8"}, []string{"HTTP/1.1 426 ", "Sec-WebSocket-Version: 13", "Upgrade: websocket", "Connection: close"}},
	} {
		got := "\r\n" + h.rawAnswer(test.lines...)
		for _, want := range test.want {
			if !strings.Contains(got, "\r\n"+want) {
				t.Errorf("no line begins with %q in\n%s", want, got)
			}
		}
		if strings.Contains(got, "Websocket") {
			t.Errorf("a name is in Go's spelling in\n%s", got)
		}
	}
}

func TestARefusalKeepsTheScriptsSpelling(t *testing.T) {
	h := start(t, func(map[string]string, string) (string, string) {
		return "Status: 401 No\r\nWWW-Authenticate: Basic\r\ncontent-type: text/plain\r\nETag: x", "log in"
	}, nil)
	got := h.rawAnswer("Sec-WebSocket-Version: 13")
	for _, want := range []string{"\r\nWWW-Authenticate: Basic\r\n", "\r\nContent-Type: text/plain\r\n", "\r\nETag: x\r\n"} {
		if strings.Count(got, want) != 1 || strings.Count(strings.ToLower(got), strings.ToLower(want)) != 1 {
			t.Errorf("want %q once in\n%s", want, got)
		}
	}
}

func TestRefusedHandshakesAreCountedByReason(t *testing.T) {
	h := start(t, func(params map[string]string, _ string) (string, string) {
		if params["QUERY_STRING"] == "broken" {
			return "WS-Unknown: x", ""
		}
		return "Status: 401", "log in first"
	}, nil)
	foreign := &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://evil.test"}}}
	for _, test := range []struct {
		path string
		o    *websocket.DialOptions
		want Refusal
	}{
		{"/", nil, Refusal{401, "script"}},
		{"/?broken", nil, Refusal{502, "answer"}},
		{"/", foreign, Refusal{403, "origin"}},
	} {
		if _, _, err := websocket.Dial(t.Context(), h.url+test.path, test.o); err == nil {
			t.Errorf("%v: let in", test.want)
		}
		if got := h.Stats().Refusals; got[test.want] != 1 {
			t.Errorf("got %v, want one %v", got, test.want)
		}
	}
}

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
		t.Errorf("a handshake that was not accepted was answered with %s", answer.Status)
	}
	close(gate)
}
