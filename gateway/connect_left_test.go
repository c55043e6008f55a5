package gateway

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/session"
)

// A connect script that let a client in is told of its end, whatever keeps the
// client out then.
func TestEachClientThatConnectLetInHasItsDisconnect(t *testing.T) {
	t.Log("contract-row: 1.disconnect-kept-out")
	for name, test := range map[string]struct {
		meanwhile func(h *house, leave func()) // while the connect script runs
		status    int
		code      string
	}{
		"it left": {func(_ *house, leave func()) { leave() }, 0, "1006"},
		"its user has too many": {func(h *house, _ func()) {
			h.admission.moveUser("", "42", 0)
		}, http.StatusTooManyRequests, "1008"},
		"a drain began": {func(h *house, _ func()) {
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
func nothingIsLeft(t *testing.T, h *house, members *countBus) {
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
