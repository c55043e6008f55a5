package gateway

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// public serves a gateway as cmd/wsfpm does, and returns the address.
func public(t *testing.T, g *Gateway) string {
	t.Helper()
	server := httptest.NewUnstartedServer(g)
	server.Listener = g.Listener(server.Listener)
	g.Attend(server.Config)
	server.Start()
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// observed is a door and all that it logs.
func observed(t *testing.T) (g *Gateway, address string, logs *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	g = door()
	g.log = zap.New(core)
	return g, public(t, g), logs
}

func TestAClientThatSpeaksTLSIsAnsweredAtOnce(t *testing.T) {
	t.Log("contract-row: 5.tls")
	g, address, logs := observed(t)
	for range 2 {
		c := dialRaw(t, address, "")
		_ = c.SetDeadline(time.Now().Add(patience))
		err := tls.Client(c, &tls.Config{ServerName: "h"}).HandshakeContext(t.Context())
		if err == nil || !strings.Contains(err.Error(), "handshake failure") {
			t.Fatalf("got %v, want a handshake failure", err)
		}
	}
	if got := logs.FilterFieldKey("cure").All(); len(got) != 1 || got[0].Level != zap.InfoLevel ||
		got[0].ContextMap()["remote"] != "127.0.0.1" || !strings.Contains(fmt.Sprint(got[0].ContextMap()["cure"]), "ws:// in place of wss://") {
		t.Errorf("got %v, want one line that names the cure", got)
	}
	if n := g.stats.tls.Load(); n != 2 {
		t.Errorf("%d are counted, want 2", n)
	}
	eventually(t, "the sockets to be closed", func() bool { s, _, _ := g.accepted.snapshot(); return s == Sockets{} })
}

func TestOtherProtocolsAreNamed(t *testing.T) {
	_, address, logs := observed(t)
	for speaks, sent := range map[string]string{
		"the PROXY protocol":            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"the PROXY protocol, version 2": "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c",
		"HTTP/2":                        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		c := dialRaw(t, address, sent)
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = io.Copy(io.Discard, c)
		if got := logs.FilterField(zap.String("speaks", speaks)).Len(); got != 1 {
			t.Errorf("%s: got %d lines, want 1", speaks, got)
		}
	}
}

func TestHealthChecksAreLoggedOncePerAddress(t *testing.T) {
	t.Log("contract-row: 5.log-once")
	_, address, logs := observed(t)
	for range 3 {
		dialRaw(t, address, "").Close()
		c := dialRaw(t, address, "GET / HTTP/1.1\r\nHost: 10.0.0.1\r\nUser-Agent: ELB-HealthChecker/2.0\r\n\r\n")
		wantStatus(t, c, http.StatusNotFound)
	}
	if n := logs.FilterLevelExact(zap.InfoLevel).Len(); n != 1 || logs.FilterMessage("handshake refused").Len() != 3 {
		t.Errorf("got %d lines at info of %v, want 1 of 3", n, logs.All())
	}
	for range 2 {
		wantStatus(t, dialRaw(t, address, handshake), http.StatusNotFound)
	}
	if n := logs.FilterLevelExact(zap.InfoLevel).Len(); n != 3 {
		t.Errorf("got %d lines at info, want one for each handshake too", n)
	}
}

func TestWhatNginxLeavesOutIsNamed(t *testing.T) {
	t.Log("contract-row: 1.nginx-missing")
	h := start(t, echo, nil)
	const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
	const version, upgrade, connection = "proxy_http_version 1.1;", "proxy_set_header Upgrade $http_upgrade;", `proxy_set_header Connection "upgrade";`
	for _, test := range []struct {
		request string
		status  int
		lines   []string
	}{
		{"GET / HTTP/1.0\r\nHost: a\r\nConnection: close\r\n" + key, 426, []string{version, upgrade, connection}},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + key, 426, []string{upgrade, connection}},
		{"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: close\r\n" + key, 426, []string{connection}},
		{"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n" + key, 426, []string{upgrade}},
		{"GET / HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" + key, 505, []string{version}},
		{"GET / HTTP/1.0\r\nHost: a\r\n", 426, nil},
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(test.request + "\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = h.receive(r)
		refused := refusalFor(err)
		if refused.status != test.status {
			t.Errorf("%q: got status %d, want %d", test.request, refused.status, test.status)
		}
		for _, line := range []string{version, upgrade, connection} {
			want := strings.Contains(strings.Join(test.lines, " "), line)
			if strings.Contains(refused.reason, line) != want {
				t.Errorf("%q: got %q, which is to name %s: %v", test.request, refused.reason, line, want)
			}
		}
	}
}

func TestAWebSocketThroughTheListener(t *testing.T) {
	h := start(t, echo, nil)
	address := public(t, h.Gateway)
	conn, _, err := websocket.Dial(t.Context(), "ws://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.Read(t.Context()); err != nil || !strings.Contains(string(got), "hello") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestARefusedClientReadsItsAnswerThroughTheListener(t *testing.T) {
	if _, ok := net.Conn(&newcomer{}).(interface{ CloseWrite() error }); !ok {
		t.Error("net/http cannot close half of the connection")
	}
}
