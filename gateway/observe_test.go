package gateway

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsfpm/fcgi"
	"wsfpm/gateway/config"
	"wsfpm/session"
)

func TestObserverSeesEachEventOnce(t *testing.T) {
	var mu sync.Mutex
	var seen []Event
	h := startMore(t, func(params map[string]string, body string) (string, string) {
		switch {
		case params["WS_EVENT"] == "connect":
			return "WS-User: 42\r\nWS-Join: a, b", ""
		case body == "fail":
			return "Status: 500", "oops"
		case body == "stream":
			return "Content-Type: application/x-ndjson", "{\"data\":\"one\"}\n"
		}
		return "Content-Type: text/plain", "echo " + body
	}, nil, func(*Options) {})
	h.Observe(func(e *Event) {
		mu.Lock()
		defer mu.Unlock()
		copied := *e
		copied.Data = slices.Clone(e.Data)
		seen = append(seen, copied)
	})
	conn := h.dial("/", nil)
	for _, text := range []string{"hello", "fail", "stream"} {
		conn.send(text)
	}
	_ = conn.Close(websocket.StatusNormalClosure, "bye")
	eventually(t, "four events and the end", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == 5
	})
	for i, want := range []Event{
		{Kind: "connect", Outcome: "ok"},
		{Kind: "message", Outcome: "ok", Data: []byte("hello")},
		{Kind: "message", Outcome: "answer", Data: []byte("fail")},
		{Kind: "message", Outcome: "ok", Data: []byte("stream"), Streamed: true},
		{Kind: "disconnect", Outcome: "ok", Code: 1000, Reason: "bye"},
	} {
		got := seen[i]
		if got.Kind != want.Kind || got.Outcome != want.Outcome || string(got.Data) != string(want.Data) || got.Streamed != want.Streamed ||
			(got.Err == nil) != (want.Outcome == "ok") || got.Wait < 0 || got.Wait > got.Took || got.Route != config.AnyPath || !got.Address.IsLoopback() || !slices.Equal(got.Channels, []string{"a", "b"}) ||
			got.Code != want.Code || got.Reason != want.Reason || got.User != "42" || got.Connection == "" || got.Script != "/srv/ws.php" {
			t.Errorf("event %d: got %+v, want %+v of user 42", i, got, want)
		}
		if answered := want.Outcome == "ok" && !want.Streamed; (got.Reply != nil) != answered {
			t.Errorf("event %d: reply %v, want one: %v", i, got.Reply, answered)
		}
	}
	if m := seen[1].Reply.Messages(nil); len(m) != 1 || string(m[0].Data()) != "echo hello" {
		t.Errorf("got the reply %v, want echo hello", m)
	}
}

// A pool of one worker: the second message waits for as long as the first runs.
func TestWaitAndRunAreToldApart(t *testing.T) {
	started, end := make(chan bool), make(chan bool)
	h := startMore(t, func(params map[string]string, body string) (string, string) {
		if body != "" {
			started <- true
			<-end
		}
		return "Content-Type: text/plain", body
	}, func(c *config.Config) { c.FPM["default"].MaxConnections = 1 }, func(*Options) {})
	events := make(chan Event, 9)
	one, two := h.dial("/", nil), h.dial("/", nil)
	defer h.Observe(func(e *Event) { events <- *e })()
	one.send("a")
	<-started
	two.send("b")
	eventually(t, "a message that waits", func() bool { return h.Stats().Pools["default"].Waiting[0] == 1 })
	end <- true
	<-started
	end <- true
	if a := <-events; a.Wait >= a.Took {
		t.Errorf("the first message waited %v of %v", a.Wait, a.Took)
	}
	if b := <-events; b.Wait < 100*time.Nanosecond || b.Wait >= b.Took {
		t.Errorf("the second message waited %v of %v", b.Wait, b.Took)
	}
}

func TestAHandshakeThatIsRefusedIsShown(t *testing.T) {
	h := startMore(t, echo, nil, func(*Options) {})
	events := make(chan Event, 9)
	defer h.Observe(func(e *Event) { events <- *e })()
	response, err := http.Get(h.web.URL + "/none")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	e := <-events
	if e.Kind != "handshake" || e.Code != response.StatusCode || e.Outcome != "refused" || e.Err == nil || e.Route != "/none" || !e.Address.IsLoopback() {
		t.Errorf("got %+v", e)
	}
}

func TestAnObserverThatHasStoppedSeesNoMore(t *testing.T) {
	h := start(t, echo, nil)
	var first, second atomic.Int64
	stop := h.Observe(func(*Event) { first.Add(1) })
	stopSecond := h.Observe(func(*Event) { second.Add(1) })
	conn := h.dial("/", nil)
	conn.send("one")
	conn.want("one")
	eventually(t, "both have seen two events", func() bool { return first.Load() == 2 && second.Load() == 2 })
	stop()
	stop() // it does nothing more
	conn.send("two")
	conn.want("two")
	eventually(t, "the other one goes on", func() bool { return second.Load() == 3 })
	if n := first.Load(); n != 2 {
		t.Errorf("got %d events after stop, want 2", n)
	}
	stopSecond()
	if h.observers.list.Load() != nil {
		t.Error("there is a list without an observer")
	}
}

func TestWhatPHPIsToldMayBeDecidedLate(t *testing.T) {
	env, err := newEnv(map[string]string{"SCRIPT_FILENAME": "/srv/ws.php"})
	if err != nil {
		t.Fatal(err)
	}
	r := fcgi.Request{Env: env, Vars: []fcgi.Var{{Name: "WS_USER", Value: "early"}}}
	r.Before = func(context.Context) ([]fcgi.Var, error) {
		return []fcgi.Var{{Name: "WS_USER", Value: "late"}, {Name: "WS_USER_LEFT", Value: "1"}}, nil
	}
	e := Event{told: note(&r)}
	if got := e.Param("WS_USER"); got != "early" {
		t.Errorf("before the request: got %q", got)
	}
	if vars, err := r.Before(t.Context()); err != nil || len(vars) != 2 {
		t.Fatalf("got %v, %v", vars, err)
	}
	if p := e.Params(); p["WS_USER"] != "late" || p["WS_USER_LEFT"] != "1" || p["SCRIPT_FILENAME"] != "/srv/ws.php" || e.Param("WS_STATE") != "" {
		t.Errorf("got %v", p)
	}
}

// What an answer has sent through the log is among its effects.
func TestAnObserverSeesWhatIsStored(t *testing.T) {
	h, _ := startStored(t, says, resuming)
	events := make(chan []session.Command, 8)
	defer h.Observe(func(e *Event) {
		if e.Kind == "message" {
			events <- slices.Clone(e.Reply.Others)
		}
	})()
	p := h.dial("/?42", nil)
	p.send("WS-Publish: channel:room\n\nnews")
	p.want("news")
	if got := <-events; len(got) != 1 || got[0].Message == nil || string(got[0].Message.Data()) != "news" {
		t.Errorf("an observer saw %v, want the push", got)
	}
}

// The last check of a handshake before PHP is whether FastCGI can carry it.
func TestAHandshakeTooLargeForPHPIsShown(t *testing.T) {
	h := start(t, echo, func(c *config.Config) { c.Limits.HandshakeHeaders = 1 << 20 })
	events := make(chan Event, 9)
	defer h.Observe(func(e *Event) { events <- *e })()
	_, response, err := websocket.Dial(t.Context(), h.url, &websocket.DialOptions{HTTPHeader: http.Header{"Cookie": {"a=" + strings.Repeat("b", 70_000)}}})
	if err == nil || response == nil || response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Fatalf("got %v, want 431", err)
	}
	select {
	case e := <-events:
		if e.Kind != "handshake" || e.Code != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("got %+v", e)
		}
	case <-time.After(patience):
		t.Error("no event was shown")
	}
}
