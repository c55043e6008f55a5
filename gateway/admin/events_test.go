package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"wsfpm/gateway"
	"wsfpm/gateway/live"
)

// shower is a gateway whose events the test makes.
type shower struct {
	fake
	mu  sync.Mutex
	see map[int]func(*gateway.Event)
}

func (s *shower) Observe(see func(*gateway.Event)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.see)
	s.see[n] = see
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.see, n)
	}
}

func (s *shower) show(e gateway.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, see := range s.see {
		see(&e)
	}
}

// follow begins to read a stream of a server.
func follow(t *testing.T, url string) (lines *bufio.Scanner, status int, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return bufio.NewScanner(response.Body), response.StatusCode, func() { cancel(); _ = response.Body.Close() }
}

func TestEventsAreLinesAsTheyHappen(t *testing.T) {
	g := &shower{see: make(map[int]func(*gateway.Event))}
	server := httptest.NewServer(New(Options{Gateway: g, Private: true}))
	defer server.Close()
	lines, status, end := follow(t, server.URL+"/events?user=42&failed=1")
	defer end()
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	g.show(gateway.Event{Kind: "message", User: "7", Outcome: "timeout"})
	g.show(gateway.Event{Kind: "message", User: "42", Outcome: "ok"})
	g.show(gateway.Event{Kind: "message", User: "42", Outcome: "timeout", Err: errors.New("no answer"), Data: []byte("secret")})
	if !lines.Scan() {
		t.Fatal(lines.Err())
	}
	var got live.Record
	if err := json.Unmarshal(lines.Bytes(), &got); err != nil || got.User != "42" || got.Outcome != "timeout" || got.Error != "no answer" || strings.Contains(lines.Text(), "secret") {
		t.Errorf("got %s, %v", lines.Text(), err)
	}
}

func TestFiguresAreLines(t *testing.T) {
	g := &shower{see: make(map[int]func(*gateway.Event))}
	server := httptest.NewServer(New(Options{Gateway: g, Private: true}))
	defer server.Close()
	lines, _, end := follow(t, server.URL+"/figures")
	defer end()
	g.show(gateway.Event{Kind: "message", Outcome: "ok"})
	if !lines.Scan() {
		t.Fatal(lines.Err())
	}
	var got live.Figures
	if err := json.Unmarshal(lines.Bytes(), &got); err != nil || got.Node != "n" || got.Connections != 2 || got.Events["message"] != 1 || got.Redis.State != "local" || got.Log.State != "off" {
		t.Errorf("got %s, %v", lines.Text(), err)
	}
}

func TestWrongRequestsForEventsAreExplained(t *testing.T) {
	g := &shower{see: make(map[int]func(*gateway.Event))}
	h := New(Options{Gateway: g, Private: true})
	if got := ask(h, "GET", "/events?bodies=1", "", nil); got.Code != http.StatusForbidden || !strings.Contains(got.Body.String(), "control socket") {
		t.Errorf("bodies: got %d %s", got.Code, got.Body)
	}
	for path, want := range map[string]string{
		"/events?x=1": "no filter", "/figures?every=10ms": "1s", "/figures?every=2m": "1m", "/figures?every=x": "interval",
	} {
		if got := ask(h, "GET", path, "", nil); got.Code != http.StatusBadRequest || !strings.Contains(got.Body.String(), want) {
			t.Errorf("%s: got %d %s, want 400 and %q", path, got.Code, got.Body, want)
		}
	}
}

func TestAFifthReaderIsRefusedUntilOneLeaves(t *testing.T) {
	g := &shower{see: make(map[int]func(*gateway.Event))}
	server := httptest.NewServer(New(Options{Gateway: g, Private: true}))
	defer server.Close()
	_, _, end := follow(t, server.URL+"/figures")
	for range live.MostReaders - 1 {
		_, _, end := follow(t, server.URL+"/events")
		defer end()
	}
	for _, path := range []string{"/events", "/figures"} {
		_, status, close := follow(t, server.URL+path)
		close()
		if status != http.StatusServiceUnavailable {
			t.Errorf("a fifth reader of %s got %d", path, status)
		}
	}
	end()
	status := http.StatusServiceUnavailable
	for status == http.StatusServiceUnavailable { // until the server has noticed
		var close func()
		_, status, close = follow(t, server.URL+"/events")
		close()
	}
	if status != http.StatusOK {
		t.Errorf("after one has left: status %d", status)
	}
}
