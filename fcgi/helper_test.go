package fcgi

import (
	"cmp"
	"context"
	"errors"
	"testing"
	"time"

	"wsfpm/test/fcgitest"
)

// patience bounds the wait for a condition. It is long because machines that run tests
// are slow and shared.
const patience = time.Minute

// serve starts a fake application server for the test's time.
func serve(t testing.TB, h fcgitest.Handler, o fcgitest.Options) *fcgitest.Server {
	t.Helper()
	s := fcgitest.NewServer(h, o)
	t.Cleanup(s.Close)
	return s
}

// poolFor makes a pool for s; what cfg leaves open is made for tests.
func poolFor(t testing.TB, s *fcgitest.Server, cfg Config) *Pool {
	t.Helper()
	cfg.Network, cfg.Address = s.Network, s.Address
	return newTestPool(t, cfg)
}

// usual is cfg with what a test leaves open. Negative means none.
func usual(cfg Config) Config {
	cfg.MaxConnections = cmp.Or(cfg.MaxConnections, 3)
	cfg.MaxIdle = cmp.Or(cfg.MaxIdle, 100)
	cfg.IdleTimeout = cmp.Or(cfg.IdleTimeout, 2*time.Second)
	cfg.QueueWait = cmp.Or(cfg.QueueWait, 10*time.Second)
	cfg.Share = cmp.Or(cfg.Share, 0.5)
	cfg.DialTimeout = cmp.Or(cfg.DialTimeout, time.Second)
	cfg.MaxIdle, cfg.IdleTimeout = max(cfg.MaxIdle, 0), max(cfg.IdleTimeout, 0)
	return cfg
}

func newTestPool(t testing.TB, cfg Config) *Pool {
	t.Helper()
	p, err := NewPool(usual(cfg))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

// testEnv is the smallest useful Env.
func testEnv(t testing.TB) *Env {
	t.Helper()
	e, err := NewEnv(map[string]string{"SCRIPT_FILENAME": "/srv/test.php", "REQUEST_METHOD": "POST"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// call runs a request to its end.
func call(p *Pool, r *Request) (status int, body string, err error) {
	resp, err := p.Do(context.Background(), r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Close()
	b, err := resp.ReadAll()
	return resp.Status, string(b), err
}

// wantError checks err's sentinel, phase and sent.
func wantError(t testing.TB, err, sentinel error, phase Phase, sent Sent) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, sentinel) || e.Phase != phase || e.Sent != sent {
		t.Errorf("got %v (%+v), want %v in phase %v, sent %v", err, e, sentinel, phase, sent)
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
	}
}

// readyRecord is a server's answer to the probe.
const readyRecord = "\x01\x0a\x00\x00\x00\x12\x06\x00\x0f\x01FCGI_MPXS_CONNS0\x00\x00\x00\x00\x00\x00"
