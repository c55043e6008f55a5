package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/session"
)

// A connect script that accepted a client gets its disconnect event, for any later failure
// of the handshake.
func TestEachClientThatConnectLetInHasItsDisconnect(t *testing.T) {
	t.Log("contract-row: 1.disconnect-kept-out")
	for name, test := range map[string]struct {
		meanwhile func(h *harness, leave func()) // while the connect script runs
		status    int
		code      string
	}{
		"it left": {func(_ *harness, leave func()) { leave() }, 0, "1006"},
		"its user has too many": {func(h *harness, _ func()) {
			h.admission.moveUser("", "42", 0)
		}, http.StatusTooManyRequests, "1008"},
		"a drain began": {func(h *harness, _ func()) {
			h.Gateway.mu.Lock()
			h.draining = true
			h.Gateway.mu.Unlock()
		}, http.StatusServiceUnavailable, "1012"},
	} {
		t.Run(name, func(t *testing.T) {
			asked, goOn, gone := make(chan struct{}), make(chan struct{}), make(chan struct{})
			members := &countBus{members: map[session.Address]int{}}
			h := startOn(t, func(p map[string]string, _ string) (string, string) {
				if p["WS_EVENT"] != "connect" {
					return "Status: 204", ""
				}
				close(asked)
				<-goOn
				return "Content-Type: application/vnd.wsfpm+json\r\nWS-User: 42\r\nWS-Join: a, b\r\nWS-State: s\r\nSet-Cookie: id=7",
					`[{"data":"welcome"},{"to":"all","data":"here I am"}]`
			}, func(c *config.Config) { c.Limits.ConnectionsPerUser = 1 },
				func(b *bus.Bus) Bus { members.Bus = b; return members })
			door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				context.AfterFunc(r.Context(), func() { close(gone) })
				h.Gateway.ServeHTTP(w, r)
			}))
			defer door.Close()
			client := dialRaw(t, strings.TrimPrefix(door.URL, "http://"), handshake)
			<-asked
			test.meanwhile(h, func() {
				_ = client.Close()
				<-gone
			})
			close(goOn)
			if test.status != 0 {
				wantStatus(t, client, test.status)
			}
			eventually(t, "the disconnect event", func() bool { return len(h.seen("disconnect")) == 1 })
			e := h.seen("disconnect")[0]
			for name, want := range map[string]string{"WS_USER": "42", "WS_CHANNELS": "a,b", "WS_STATE": "s",
				"WS_CLOSE_CODE": test.code, "HTTP_COOKIE": "id=7", "WS_CONNECTION": h.seen("connect")[0]["WS_CONNECTION"]} {
				if e[name] != want {
					t.Errorf("%s = %q, want %q", name, e[name], want)
				}
			}
			nothingIsLeft(t, h, members)
		})
	}
}

// nothingIsLeft checks that no connection is counted any more.
func nothingIsLeft(t *testing.T, h *harness, members *countBus) {
	t.Helper()
	eventually(t, "nothing to be left", func() bool {
		h.Gateway.mu.Lock()
		live := len(h.live)
		h.Gateway.mu.Unlock()
		h.admission.mu.Lock()
		total := h.admission.total + len(h.admission.addresses)
		h.admission.mu.Unlock()
		return live == 0 && total == 0 && h.hub.Len() == 0
	})
	members.mu.Lock()
	defer members.mu.Unlock()
	for name, n := range members.members {
		if n != 0 {
			t.Errorf("%s has %d members by the bus's count, want 0", name, n)
		}
	}
}

func TestAClientThatConnectDidNotLetInHasNoDisconnect(t *testing.T) {
	t.Log("contract-row: 1.disconnect-when")
	for name, answer := range map[string]string{
		"refused":   "Status: 403\r\nContent-Type: text/plain",
		"broken":    "WS-Nonsense: 1",
		"an error":  "Status: 500",
		"malformed": "WS-Protocol: not-offered",
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, func(p map[string]string, _ string) (string, string) { return answer, "" }, nil)
			client := dialRaw(t, strings.TrimPrefix(h.web.URL, "http://"), handshake)
			_ = client.SetReadDeadline(time.Now().Add(patience))
			if _, err := client.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the connection to be over", func() bool {
				h.Gateway.mu.Lock()
				defer h.Gateway.mu.Unlock()
				return len(h.live) == 0
			})
			if n := len(h.seen("disconnect")); n != 0 {
				t.Errorf("%d disconnect events, want none", n)
			}
		})
	}
}

func TestConnectionsDuringHandshakes(t *testing.T) {
	h := start(t, echo, func(c *config.Config) { c.Routes[0].Protocols = []string{"v1"} })
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				for range h.Connections() {
				}
			}
		}
	})
	for range 30 {
		h.dial("/", &websocket.DialOptions{Subprotocols: []string{"v1"}})
	}
	close(stop)
	wg.Wait()
}

func TestHandshakeDuringDrainLeavesOnce(t *testing.T) {
	cb := &countBus{members: map[session.Address]int{}}
	gate := make(chan struct{})
	var once sync.Once
	inside := make(chan struct{})
	h := startOn(t, func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] == "connect" && params["QUERY_STRING"] == "late" {
			once.Do(func() { close(inside) })
			<-gate
		}
		return "WS-Join: lobby", "hello"
	}, func(c *config.Config) { c.Drain = config.Duration(3 * time.Second) }, func(b *bus.Bus) Bus { cb.Bus = b; return cb })
	ann := h.dial("/", nil)
	ann.want("hello")
	result := make(chan string, 1)
	go func() {
		_, answer, err := websocket.Dial(within(t, patience), h.url+"/?late", nil)
		s := fmt.Sprint(err)
		if answer != nil {
			s = answer.Status
		}
		result <- s
	}()
	<-inside
	var late *connection
	h.Gateway.mu.Lock()
	for c := range h.live {
		if h.hub.Find([]session.Address{session.Conn(c.id())}) == nil {
			late = c
		}
	}
	h.Gateway.mu.Unlock()
	late.drainConn(closeDraining) // as Drain does
	close(gate)
	t.Logf("late handshake: %s", <-result)
	eventually(t, "its end", func() bool {
		h.Gateway.mu.Lock()
		defer h.Gateway.mu.Unlock()
		_, live := h.live[late]
		return !live
	})
	cb.mu.Lock()
	defer cb.mu.Unlock()
	if n := cb.members[session.Channel("lobby")]; n != 1 {
		t.Errorf("channel:lobby has %d members by the bus's count, ann is still in it: want 1", n)
	}
}

// The client's answer to our Close is read while the close waits for its turn.
func TestConnectThatPublishesAndClosesEndsSoon(t *testing.T) {
	connecting, gate := make(chan struct{}), make(chan struct{})
	h := start(t, func(params map[string]string, _ string) (string, string) {
		if params["WS_EVENT"] == "connect" {
			close(connecting)
			<-gate
		}
		return "WS-Publish: channel:x\r\nWS-Close: 4001 bye", "hello"
	}, func(c *config.Config) { c.Redis.Confirm = config.Duration(time.Hour) })
	var c *connection
	go func() {
		defer close(gate)
		<-connecting
		h.Gateway.mu.Lock()
		defer h.Gateway.mu.Unlock()
		for c = range h.live {
		}
	}()
	p := h.dial("/", nil)
	p.wantClose(4001) // answers it too
	eventually(t, "disconnect", func() bool { return len(h.seen("disconnect")) == 1 })
	if code, _, clean := c.socket.Cause(); code != 4001 || !clean {
		t.Errorf("ended with %d, the client's answer read: %v; want 4001 and true", code, clean)
	}
}

func TestNoAgreedSubprotocolIsLoggedOncePerRoute(t *testing.T) {
	h := start(t, echo, func(c *config.Config) { c.Routes[0].Protocols = []string{"v2"} })
	warnings := func() int { return h.log.FilterMessageSnippet("subprotocols").Len() }
	h.dial("/", nil)
	h.dial("/", &websocket.DialOptions{Subprotocols: []string{"v1", "v2"}})
	if n := warnings(); n != 0 {
		t.Errorf("%d warnings without a reason", n)
	}
	for range 3 {
		h.dial("/", &websocket.DialOptions{Subprotocols: []string{"v1"}})
	}
	eventually(t, "the warning", func() bool { return warnings() > 0 })
	if n := warnings(); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
}

func TestARouteMayCompress(t *testing.T) {
	h := start(t, echo, func(c *config.Config) { c.Routes[0].Compression = true })
	plain := h.dial("/", nil)
	packed := h.dial("/", &websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover, CompressionThreshold: 1})
	before := h.Stats().Socket
	long := strings.Repeat("again and again ", 1000)
	packed.send(long)
	packed.want(long)
	after := h.Stats().Socket
	if in, out := after.BytesIn-before.BytesIn, after.BytesOut-before.BytesOut; in > 1000 || out > 1000 {
		t.Errorf("%d bytes came and %d went for a message that shrinks to a few", in, out)
	}
	plain.send(long)
	plain.want(long)
}

func TestNoRouteCompressesByItself(t *testing.T) {
	h := start(t, echo, nil)
	conn, answer, err := websocket.Dial(t.Context(), h.url, &websocket.DialOptions{CompressionMode: websocket.CompressionNoContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if got := answer.Header.Get("Sec-WebSocket-Extensions"); got != "" {
		t.Errorf("agreed on %q", got)
	}
}
