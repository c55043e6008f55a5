package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"wsfpm/gateway/config"
)

// pipes is a listener whose connections are pipes, for a clock that is fake.
type pipes struct {
	come chan net.Conn
	shut chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.come:
		return c, nil
	case <-p.shut:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.shut)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.come <- server
	return client
}

// door is a gateway without a route, which accepts no client.
func door() *Gateway {
	g := &Gateway{log: zap.NewNop()}
	g.settings.Store(&settings{Config: config.Default()})
	g.accepted.websockets = func() int64 { return 0 }
	return g
}

func TestARefusedClientIsNotWaitedFor(t *testing.T) {
	t.Log("contract-row: 5.refused-time")
	for name, request := range map[string]string{
		"a body that never comes":     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n",
		"one that stops in its midst": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"one too long to be awaited":  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nhello",
		"no body":                     "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, l := door(), newPipes()
				server := &http.Server{Handler: g, ReadHeaderTimeout: time.Second, IdleTimeout: time.Second}
				g.Attend(server)
				go server.Serve(l)
				defer server.Close()
				c := l.dial()
				defer c.Close()
				if _, err := io.WriteString(c, request); err != nil {
					t.Fatal(err)
				}
				r, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil || r.StatusCode != http.StatusNotFound {
					t.Fatalf("got %v, %v, want 404", r, err)
				}
				time.Sleep(refusalTime + time.Second) // by the fake clock; half a second of it is net/http's
				synctest.Wait()
				if s, _, _ := g.accepted.snapshot(); s != (Sockets{}) {
					t.Errorf("%+v are held %v after the refusal", s, refusalTime+time.Second)
				}
			})
		})
	}
}

func TestEverySocketIsCountedUntilItIsClosed(t *testing.T) {
	t.Log("contract-row: 5.sockets")
	gate := make(chan struct{})
	h := start(t, func(p map[string]string, body string) (string, string) {
		if p["WS_EVENT"] == "connect" {
			<-gate
		}
		return echo(p, body)
	}, nil)
	address := attended(t, h)
	counted := func(what string, want Sockets) {
		t.Helper()
		want.Most = h.Stats().Sockets.Most
		eventually(t, fmt.Sprintf("%s: %+v", what, want), func() bool { return h.Stats().Sockets == want })
	}
	silent := dialRaw(t, address, "")
	counted("nothing sent", Sockets{Reading: 1})
	refused := dialRaw(t, address, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
	counted("being refused", Sockets{Reading: 1, Answering: 1})
	asking := dialRaw(t, address, handshake)
	counted("asking PHP", Sockets{Reading: 1, Answering: 2})
	close(gate)
	counted("a WebSocket", Sockets{Reading: 1, Answering: 1, WebSocket: 1})
	silent.Close()
	refused.Close()
	asking.Close()
	counted("all closed", Sockets{})
}

func TestNewcomersBeyondTheSocketsLearnWhy(t *testing.T) {
	h := start(t, echo, func(c *config.Config) { c.Limits.Connections = 0 })
	const refused = 5
	h.accepted.bound(2, refused)
	address := attended(t, h)
	inside := dialRaw(t, address, handshake)
	wantStatus(t, inside, http.StatusSwitchingProtocols)
	for range refused {
		dialRaw(t, address, "") // one of them has a place, the others will learn why they have none
	}
	eventually(t, "all to be accepted", func() bool { return h.Stats().Sockets.Reading == refused })
	one := dialRaw(t, address, handshake)
	wantStatus(t, one, http.StatusServiceUnavailable)
	if n := h.Stats().Refusals[Refusal{503, "sockets"}]; n != 1 {
		t.Errorf("%d refusals were counted, want 1", n)
	}
	eventually(t, "it to be closed", func() bool { return h.Stats().Sockets.Answering == 0 })
	for range 3 {
		dialRaw(t, address, "")
	}
	eventually(t, "two to be closed at once", func() bool { return h.Stats().Refusals[Refusal{503, "sockets"}] == 3 })
	eventually(t, "their places to be free", func() bool { return h.Stats().Sockets.Reading == refused+1 })
}

const handshake = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

// attended is the address of a server whose sockets h counts.
func attended(t *testing.T, h *harness) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h.Gateway)
	h.Attend(server.Config)
	server.Start()
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// dialRaw sends a text on a new connection, which it closes with the test.
func dialRaw(t *testing.T, address, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

func wantStatus(t *testing.T, c net.Conn, status int) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || r.StatusCode != status {
		t.Fatalf("got %v, %v, want %d", r, err, status)
	}
}
