package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"wsfpm/gateway/config"
	"wsfpm/session"
)

// asked is a request for a socket, as a browser sends it.
func asked(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.RequestURI = r.URL.RequestURI()
	return r
}

// answers is a script with an answer of each kind.
func answers(params map[string]string, body string) (string, string) {
	switch {
	case params["WS_EVENT"] == "connect" && params["QUERY_STRING"] == "no":
		return "Status: 403", "go away"
	case body == "fail":
		return "Status: 500", "oops"
	case body == "stream":
		return "Content-Type: application/x-ndjson", "one\ntwo\n"
	case body == "join":
		return "WS-Join: a\r\nWS-Publish: channel:a", "to others"
	}
	return "Content-Type: text/plain", params["WS_EVENT"] + " of " + params["WS_USER"] + " in " + params["WS_CHANNELS"] + " with " + params["WS_STATE"]
}

func TestSingleEventsHaveNoEffects(t *testing.T) {
	h := start(t, answers, func(c *config.Config) {
		c.Routes[0].OnError = config.OnErrorClose
		c.Limits.Channels = 2
	})
	as := session.Membership{User: "42", Channels: []string{"x", "y"}, State: "s"}
	for _, test := range []struct {
		kind, url, data, outcome, text string
		status                         int
		streamed                       bool
	}{
		{"connect", "http://host/ws?a=1", "", "ok", "connect of 42 in x,y with s", 0, false},
		{"connect", "http://host/ws?no", "", "refused", "go away", 403, false},
		{"message", "http://host/ws", "hello", "ok", "message of 42 in x,y with s", 0, false},
		{"message", "http://host/ws", "stream", "ok", "one,two", 0, true},
		{"message", "http://host/ws", "fail", "answer", "the script answered with status 500", 0, false},
		{"message", "http://host/ws", "join", "answer", "limits.channels", 0, false},
		{"disconnect", "http://host/ws", "", "ok", "disconnect of 42 in x,y with s", 0, false},
	} {
		e, err := h.Run(t.Context(), &Single{Kind: test.kind, Handshake: asked(t, test.url), Membership: as, Data: []byte(test.data), Code: 4001, Reason: "bye", Lasted: time.Minute})
		if err != nil {
			t.Fatalf("%+v: %v", test, err)
		}
		var texts []string
		if e.Reply != nil {
			for _, m := range e.Reply.Messages(nil) {
				texts = append(texts, string(m.Data()))
			}
		}
		if f := e.Failure; f != nil && f.Status != test.status {
			t.Errorf("%+v: status %d", test, f.Status)
		} else if f != nil && f.Meant {
			texts = []string{string(f.Body)}
		} else if f != nil {
			texts = []string{f.Reason}
		}
		if got := strings.Join(texts, ","); e.Outcome != test.outcome || !strings.Contains(got, test.text) || e.Streamed != test.streamed {
			t.Errorf("%+v: got %s %q, streamed %v", test, e.Outcome, got, e.Streamed)
		}
		if p := e.Params(); p["WS_EVENT"] != test.kind || p["HTTP_HOST"] != "host" {
			t.Errorf("%+v: PHP was told %v", test, p)
		}
		if e.Kind == "message" && test.outcome == "answer" && (e.Failure.Close == nil || e.Failure.Close.Code != 1011) {
			t.Errorf("%+v: got %+v, want a close by on_error", test, e.Failure)
		}
	}
	if n := len(h.connections()); n != 0 {
		t.Errorf("%d connections were added", n)
	}
	if n := len(h.log.FilterMessage("event failed").All()); n != 2 {
		t.Errorf("%d failures were logged, want 2", n)
	}
}

func TestSingleEventWithGivenParameters(t *testing.T) {
	h := start(t, answers, func(c *config.Config) { c.Routes[0].Params = map[string]string{"SECRET": "of the route"} })
	params := map[string]string{"SCRIPT_FILENAME": "/other.php", "WS_EVENT": "message", "WS_USER": "7", "WS_CHANNELS": "c", "WS_STATE": "t", "WS_REPLAY": "1", "SECRET": "[redacted]"}
	e, err := h.Run(t.Context(), &Single{Kind: "message", Handshake: asked(t, "http://host/"), Params: params, Data: []byte("hello")})
	if err != nil || e.Reply == nil || string(e.Reply.Own.Message.Data()) != "message of 7 in c with t" {
		t.Fatalf("got %+v, %v", e, err)
	}
	told := h.seen("message")[0]
	if told["SCRIPT_FILENAME"] != "/other.php" || told["WS_REPLAY"] != "1" || told["SECRET"] != "of the route" || told["WS_SEQ"] != "" || told[""] != "hello" {
		t.Errorf("PHP was told %v", told)
	}
}

func TestSingleEventThatNoClientCouldCause(t *testing.T) {
	h := start(t, answers, func(c *config.Config) { c.Routes[0].Path = "/ws" })
	for want, s := range map[string]*Single{
		`no route has the path "/other"`: {Kind: "message", Handshake: asked(t, "http://host/other")},
		`there is no event "open"`:       {Kind: "open", Handshake: asked(t, "http://host/ws")},
	} {
		if _, err := h.Run(t.Context(), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if n := len(h.seen("message")); n != 0 {
		t.Errorf("%d scripts ran", n)
	}
}

func TestASingleEventEndsWithItsContext(t *testing.T) {
	for k := range kinds {
		began, goOn := make(chan struct{}), make(chan struct{})
		h := start(t, func(map[string]string, string) (string, string) {
			close(began)
			<-goOn
			return "Status: 204", ""
		}, func(c *config.Config) { c.Routes[0].Timeout = config.Duration(5 * time.Second) })
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-began
			cancel()
		}()
		e, err := h.Run(ctx, &Single{Kind: k.String(), Handshake: asked(t, "http://host/ws")})
		close(goOn)
		if err != nil || !errors.Is(e.Err, context.Canceled) {
			t.Errorf("%v: got %+v, %v, want that it was canceled", k, e, err)
		}
	}
}
