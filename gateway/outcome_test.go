package gateway

import (
	"net/http"
	"testing"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
)

// counted is how many events of a kind ended so.
func (h *house) counted(event, outcome string) (n uint64) {
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
