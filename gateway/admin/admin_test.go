package admin

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/gateway"
	"wsfpm/session"
)

// fake is a gateway with two connections.
type fake struct {
	notReady error
	pushed   []session.Command
}

func (f *fake) Ready() error         { return f.notReady }
func (f *fake) Stats() gateway.Stats { return gateway.Stats{Node: "n", Connections: 2} }

func (f *fake) Observe(func(*gateway.Event)) (stop func()) { return func() {} }

func (f *fake) Push(_ context.Context, commands []session.Command) (int, error) {
	f.pushed = append(f.pushed, commands...)
	return 2, f.notReady
}

func (f *fake) Connections() iter.Seq[gateway.Connection] {
	return func(yield func(gateway.Connection) bool) {
		_ = yield(gateway.Connection{ID: "a"}) && yield(gateway.Connection{ID: "b", User: "42"})
	}
}

func ask(h http.Handler, method, path, body string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "localhost"
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPrivatePathsNeedTheToken(t *testing.T) {
	const token = "0123456789abcdef"
	for _, test := range []struct {
		name    string
		options Options
		header  string
		status  int
	}{
		{"no token configured", Options{}, "Bearer ", 403},
		{"none given", Options{Token: token}, "", 401},
		{"a wrong one", Options{Token: token}, "Bearer 0123456789abcdeF", 401},
		{"another scheme", Options{Token: token}, "Basic " + token, 401},
		{"the right one", Options{Token: token}, "Bearer " + token, 200},
		{"the scheme in any case", Options{Token: token}, "bearer " + token, 200},
		{"a unix socket", Options{Private: true}, "", 200},
	} {
		test.options.Gateway = &fake{}
		h := New(test.options)
		header := http.Header{"Content-Type": {"application/json"}}
		if test.header != "" {
			header.Set("Authorization", test.header)
		}
		for _, path := range []string{"/connections", "/debug/pprof/cmdline"} {
			if got := ask(h, "GET", path, "", header).Code; got != test.status {
				t.Errorf("%s: %s: status %d, want %d", test.name, path, got, test.status)
			}
		}
		if got := ask(h, "POST", "/push", `{"to":"all","data":1}`, header).Code; got != test.status {
			t.Errorf("%s: /push: status %d, want %d", test.name, got, test.status)
		}
		for _, path := range []string{"/live", "/ready", "/metrics"} {
			if got := ask(h, "GET", path, "", nil).Code; got != 200 {
				t.Errorf("%s: %s: status %d, want 200", test.name, path, got)
			}
		}
	}
}

func TestPushReportsWhatIsWrong(t *testing.T) {
	f := &fake{}
	h := New(Options{Gateway: f, Private: true})
	json := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	for _, test := range []struct {
		body   string
		header http.Header
		status int
		want   string
	}{
		{`[{"to":"user:1","data":"x"},{"to":"all","close":{"code":4000}}]`, json, 200, `{"delivered":2}`},
		{`[]`, json, 200, `{"delivered":`},
		{`{"data":"x"}`, json, 400, "to"},
		{`{"to":"all","dat":1}`, json, 400, "dat"},
		{``, json, 400, "empty"},
		{`{"to":"all","data":"` + strings.Repeat("x", maxPush) + `"}`, json, 413, "16777216"},
		{`{"to":"all","data":1}`, http.Header{"Content-Type": {"text/plain"}}, 415, "application/json"},
		{`{"to":"all","data":1}`, http.Header{"Content-Type": {"application/json"}, "Origin": {"http://a"}}, 403, "Origin"},
	} {
		got := ask(h, "POST", "/push", test.body, test.header)
		if got.Code != test.status || !strings.Contains(got.Body.String(), test.want) {
			t.Errorf("%.60s: got %d %s, want %d and %q", test.body, got.Code, got.Body, test.status, test.want)
		}
	}
	if len(f.pushed) != 2 {
		t.Errorf("%d commands were pushed, want 2", len(f.pushed))
	}
}

func TestNotReady(t *testing.T) {
	f := &fake{notReady: errors.New("redis: down")}
	h := New(Options{Gateway: f, Private: true})
	if got := ask(h, "GET", "/ready", "", nil); got.Code != 503 || !strings.Contains(got.Body.String(), "redis: down") {
		t.Errorf("/ready: got %d %s", got.Code, got.Body)
	}
	if got := ask(h, "POST", "/push", `{"to":"all"}`, http.Header{"Content-Type": {"application/json"}}); got.Code != 503 {
		t.Errorf("/push: got %d %s", got.Code, got.Body)
	}
	if got := ask(h, "GET", "/metrics", "", nil).Body.String(); !strings.Contains(got, "wsfpm_ready 0") || !strings.Contains(got, "wsfpm_connections 2") {
		t.Errorf("/metrics: got %.500s", got)
	}
}

func TestARefusedConfigurationIsShown(t *testing.T) {
	for _, test := range []struct {
		refused func() bool
		want    string
	}{
		{nil, "\nwsfpm_config_current 1\n"},
		{func() bool { return false }, "\nwsfpm_config_current 1\n"},
		{func() bool { return true }, "\nwsfpm_config_current 0\n"},
	} {
		got := ask(New(Options{Gateway: &fake{}, ConfigRefused: test.refused}), "GET", "/metrics", "", nil).Body.String()
		if !strings.Contains(got, test.want) {
			t.Errorf("want %q, got %.500s", test.want, got)
		}
	}
}

func TestConnectionsAreLines(t *testing.T) {
	got := ask(New(Options{Gateway: &fake{}, Private: true}), "GET", "/connections", "", nil).Body.String()
	if lines := strings.Split(strings.TrimSpace(got), "\n"); len(lines) != 2 || !strings.Contains(lines[1], `"user":"42"`) {
		t.Errorf("got %s", got)
	}
}

// pipes is a listener whose connections are pipes, for a clock that is fake.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, open := <-p; open {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func TestRequestsOfOperatorsAreBoundedInTime(t *testing.T) {
	for name, test := range map[string]struct {
		request string
		reads   bool
	}{
		"a push without a token whose body never comes": {"POST /push HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", true},
		"one with it":                  {"POST /push HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer token\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", true},
		"an answer that is never read": {"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := make(pipes)
				server := &http.Server{Handler: New(Options{Gateway: &fake{}, Token: "token"}), IdleTimeout: time.Second}
				var open atomic.Int64
				server.ConnState = func(_ net.Conn, state http.ConnState) {
					switch state {
					case http.StateNew:
						open.Add(1)
					case http.StateClosed:
						open.Add(-1)
					}
				}
				go server.Serve(l)
				client, conn := net.Pipe()
				defer client.Close()
				l <- conn
				if _, err := io.WriteString(client, test.request); err != nil {
					t.Fatal(err)
				}
				if test.reads {
					go io.Copy(io.Discard, client)
				}
				time.Sleep(patience + 2*time.Second) // by the fake clock
				synctest.Wait()
				if open.Load() != 0 {
					t.Errorf("the connection is open %v later", patience)
				}
				close(l)
			})
		})
	}
}

func TestOperatorsConnectionsAreBounded(t *testing.T) {
	sockets := &Sockets{Most: 2}
	server := httptest.NewUnstartedServer(New(Options{Gateway: &fake{}, Sockets: sockets}))
	server.Config.ConnState = sockets.State
	server.Start()
	defer server.Close()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		return c
	}
	first := dial()
	dial()
	if n, err := dial().Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the third got %d bytes, %v, want to be closed", n, err)
	}
	if _, err := io.WriteString(first, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 1<<20)
	n, err := io.ReadAtLeast(first, text, len("HTTP/1.1 200"))
	if err != nil || !strings.HasPrefix(string(text[:n]), "HTTP/1.1 200") {
		t.Errorf("the first got %.20q, %v, want an answer", text[:n], err)
	}
}
