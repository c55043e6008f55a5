package gateway

import (
	"context"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/gateway/phpreport"
	"wsfpm/test/fcgitest"
)

// patience is how long a test waits for something that should happen soon. It
// is long because machines that run tests are slow and shared.
const patience = time.Minute

// script stands in for PHP: it answers one event.
type script func(params map[string]string, body string) (header, answer string)

// harness is a gateway between a scripted application server and a real
// listener.
type harness struct {
	*Gateway
	t   testing.TB
	url string
	web *httptest.Server
	fpm *fcgitest.Server
	bus *bus.Bus
	log *observer.ObservedLogs // from warnings on

	mu     sync.Mutex
	events []map[string]string // what the script was called with, body as ""
}

// house is the harness's name in tests that are kept elsewhere.
type house = harness

var _ *house

// start runs a gateway with one route, changed by change, whose script is s.
func start(t testing.TB, s script, change func(*config.Config)) *harness {
	t.Helper()
	return startOn(t, s, change, func(b *bus.Bus) Bus { return b })
}

// startOn is start with another bus around the real one.
func startOn(t testing.TB, s script, change func(*config.Config), around func(*bus.Bus) Bus) *harness {
	t.Helper()
	return startWith(t, s, change, around, nil)
}

// startWith is startOn with a log.
func startWith(t testing.TB, s script, change func(*config.Config), around func(*bus.Bus) Bus, durable Log) *harness {
	t.Helper()
	return startMore(t, s, change, func(o *Options) { o.Bus, o.Log = around(o.Bus.(*bus.Bus)), durable })
}

// startMore is start with other options of the gateway.
func startMore(t testing.TB, s script, change func(*config.Config), set func(*Options)) *harness {
	t.Helper()
	h := &harness{t: t}
	h.fpm = fcgitest.NewServer(func(w *fcgitest.Writer, r *fcgitest.Request) {
		seen := map[string]string{"": string(r.Body)}
		for name, value := range r.Params {
			seen[name] = value
		}
		h.mu.Lock()
		h.events = append(h.events, seen)
		h.mu.Unlock()
		header, answer := s(r.Params, string(r.Body))
		w.Stdout(header + "\r\n\r\n" + answer)
	}, fcgitest.Options{Workers: 8})
	cfg, err := config.Load(config.Source{Script: "/srv/ws.php", Flags: map[string]string{"fpm.default.address": h.fpm.Network + ":" + h.fpm.Address}})
	if err != nil {
		t.Fatal(err)
	}
	cfg.FPM["default"].MaxConnections = 8
	cfg.Drain = config.Duration(100 * time.Millisecond)
	if change != nil {
		change(cfg)
	}
	if h.bus, err = bus.New(bus.Config{}); err != nil {
		t.Fatal(err)
	}
	core, log := observer.New(zap.WarnLevel)
	h.log = log
	o := Options{Config: cfg, Bus: h.bus, Logger: zap.New(core)}
	set(&o)
	if h.Gateway, err = New(o); err != nil {
		t.Fatal(err)
	}
	h.web = httptest.NewServer(h.Gateway)
	h.url = "ws" + strings.TrimPrefix(h.web.URL, "http")
	t.Cleanup(h.stop)
	return h
}

func (h *harness) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if n := h.Drain(ctx); n > 0 {
		h.t.Errorf("gave up %d connections", n)
	}
	if err := h.Gateway.Close(ctx); err != nil {
		h.t.Errorf("close: %v", err)
	}
	_ = h.bus.Close()
	h.web.Close()
	h.fpm.Close()
}

// seen returns the events of one kind.
func (h *harness) seen(event string) (list []map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e["WS_EVENT"] == event {
			list = append(list, e)
		}
	}
	return list
}

// peer is a client.
type peer struct {
	*websocket.Conn
	t testing.TB
}

func (h *harness) dial(path string, o *websocket.DialOptions) *peer {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, h.url+path, o)
	if err != nil {
		h.t.Fatal(err)
	}
	conn.SetReadLimit(-1)
	h.t.Cleanup(func() { _ = conn.CloseNow() })
	return &peer{conn, h.t}
}

func (p *peer) send(text string) {
	p.t.Helper()
	if err := p.Write(p.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) want(text string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	_, got, err := p.Read(ctx)
	for err == nil && string(got) == signOfLife && text != signOfLife { // every 25 s
		_, got, err = p.Read(ctx)
	}
	if err != nil || string(got) != text {
		p.t.Fatalf("got %.200q, %v, want %.200q", got, err, text)
	}
}

// signOfLife is what a client of wsfpm.v1 gets when it gets nothing else.
const signOfLife = "{}"

func (p *peer) wantClose(code int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	_, got, err := p.Read(ctx)
	if int(websocket.CloseStatus(err)) != code {
		p.t.Fatalf("got %.200q, %v, want close code %d", got, err, code)
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// waitsIn reports whether a goroutine is inside a function, such as one that
// waits for a lock.
func waitsIn(function string) bool { return strings.Contains(stacks(), function+"(") }

// stacks are those of all goroutines.
func stacks() string {
	text := make([]byte, 1<<20)
	return string(text[:runtime.Stack(text, true)])
}

// echo answers every event with its body.
func echo(params map[string]string, body string) (string, string) {
	return "Content-Type: text/html; charset=UTF-8", body
}

// startServer is start with a handler that sees the FastCGI records.
func startServer(t *testing.T, handler fcgitest.Handler) *harness {
	t.Helper()
	server := fcgitest.NewServer(handler, fcgitest.Options{Workers: 8})
	t.Cleanup(server.Close) // after the gateway's end: its disconnect events need it
	h := start(t, echo, func(c *config.Config) {
		c.FPM["default"].Network, c.FPM["default"].Addr = server.Network, server.Address
	})
	return h
}

// within is a context for something that must not last longer.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// phpError is the search for PHP's errors under the name that tests kept elsewhere
// have for it.
func phpError(connect bool, stderr, body []byte) string {
	return phpreport.Find("/srv/ws.php", connect, stderr, body)
}

var _ = phpError
