package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
	"wsfpm/session"
)

func TestFailedAnswerLeavesNothing(t *testing.T) {
	h := start(t, func(params map[string]string, body string) (string, string) {
		switch {
		case params["WS_EVENT"] == "connect":
			return "Status: 204", ""
		case body == "bad":
			return "Set-Cookie: role=admin\r\nWS-Join: a, b, c", "x"
		}
		return "Content-Type: text/plain", "cookie=" + params["HTTP_COOKIE"]
	}, func(c *config.Config) { c.Limits.Channels = 2 })
	p := h.dial("/", nil)
	p.send("bad")
	p.send("ask")
	p.want("cookie=")
}

func TestUserLimitStopsTheWholeAnswer(t *testing.T) {
	h := start(t, func(params map[string]string, body string) (string, string) {
		switch {
		case params["WS_EVENT"] == "connect" && params["QUERY_STRING"] == "bob":
			return "WS-User: bob\r\nWS-Join: lobby", "hi"
		case params["WS_EVENT"] == "message":
			return "WS-User: bob\r\nWS-Publish: channel:lobby", "I am bob"
		}
		return "Status: 204", ""
	}, func(c *config.Config) { c.Limits.ConnectionsPerUser = 1 })
	bob := h.dial("/?bob", nil)
	bob.want("hi")
	p := h.dial("/", nil)
	p.send("x")
	p.wantClose(1008)
	if _, got, err := bob.Read(within(t, time.Second)); err == nil {
		t.Errorf("bob got %q of an answer that was not taken", got)
	}
}

// counted is how many events of a kind ended so.
func (h *harness) counted(event, outcome string) (n uint64) {
	for _, e := range h.Stats().Events {
		if e.Kind == event && e.Outcome == outcome {
			n += e.Count
		}
	}
	return n
}

func TestAnAnswerThatCannotBeAppliedIsNoSuccess(t *testing.T) {
	joins := func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] != "message" {
			return "X: y", ""
		}
		return "WS-Join: " + body, "joined"
	}
	h := start(t, joins, func(c *config.Config) { c.Limits.Channels = 1 })
	p := h.dial("/", nil)
	p.send("a,b")
	p.send("a")
	p.want("joined")
	eventually(t, "two messages", func() bool { return h.counted("message", "ok")+h.counted("message", "answer") == 2 })
	if ok, failed := h.counted("message", "ok"), h.counted("message", "answer"); ok != 1 || failed != 1 {
		t.Errorf("got %d successes and %d failures, want 1 and 1", ok, failed)
	}
}

func TestAConnectAnswerThatCannotBeAppliedIsNoSuccess(t *testing.T) {
	h := start(t, func(map[string]string, string) (string, string) { return "WS-Protocol: v9", "" }, nil)
	if _, _, err := websocket.Dial(t.Context(), h.url, nil); err == nil {
		t.Fatal("let in")
	}
	if ok, failed := h.counted("connect", "ok"), h.counted("connect", "answer"); ok != 0 || failed != 1 {
		t.Errorf("got %d successes and %d failures, want 0 and 1", ok, failed)
	}
}

// A bug in the middle of a change of user must not cost the user a connection for ever.
func TestAPanicLeavesNoUserCounted(t *testing.T) {
	h, l := startStored(t, says, nil)
	l.after = func(session.Position) { panic("a bug") }
	stays, p := h.dial("/?1", nil), h.dial("/?1", nil)
	p.send("WS-User: 2\nWS-Publish: channel:room; durable; except=self\n\nx")
	p.wantClose(1011)
	stays.want("x")
	counted := func() string {
		h.admission.mu.Lock()
		defer h.admission.mu.Unlock()
		return fmt.Sprint(h.admission.users)
	}
	eventually(t, "the end", func() bool { return h.Stats().Connections == 1 && len(h.seen("disconnect")) == 1 })
	if got := counted(); got != "map[1:1]" {
		t.Errorf("got %v, want one connection of user 1", got)
	}
}
