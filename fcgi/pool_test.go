package fcgi

import (
	"strings"
	"sync"
	"testing"

	"wsfpm/test/fcgitest"
)

func TestEchoReusesOneConnection(t *testing.T) {
	s := serve(t, fcgitest.Echo, fcgitest.Options{})
	p := poolFor(t, s, Config{})
	for i := range 50 {
		body := strings.Repeat("x", i*100)
		status, got, err := call(p, &Request{Env: testEnv(t), Body: []byte(body)})
		if status != 200 || got != body || err != nil {
			t.Fatalf("got %d %.20q %v, want 200 %.20q", status, got, err, body)
		}
		eventually(t, "the worker is back", func() bool { s := p.Stats(); return s.Running+s.Settling == 0 })
	}
	if n := s.Accepted(); n > 2 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestManyCallersShareFewWorkers(t *testing.T) {
	s := serve(t, fcgitest.Echo, fcgitest.Options{Workers: 3})
	p := poolFor(t, s, Config{MaxConnections: 3})
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			for range 20 {
				if _, got, err := call(p, &Request{Env: testEnv(t), Body: []byte("hi"), Owner: "a"}); got != "hi" || err != nil {
					t.Errorf("got %q, %v", got, err)
				}
			}
		})
	}
	callers.Wait()
	if peak := s.Peak(); peak > 3 {
		t.Errorf("%d scripts at once, want at most 3", peak)
	}
}

func TestZeroOfAnOperatorsFieldIsNone(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		if string(r.Body) == "long" {
			close(began)
			<-release
		}
		fcgitest.Reply(200, "ok")(w, nil)
	}, fcgitest.Options{})
	p, err := NewPool(Config{Network: s.Network, Address: s.Address, MaxConnections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	var long sync.WaitGroup
	long.Go(func() {
		if _, body, err := call(p, &Request{Env: testEnv(t), Body: []byte("long")}); body != "ok" || err != nil {
			t.Errorf("a free slot: got %q, %v", body, err)
		}
	})
	<-began
	_, _, err = call(p, &Request{Env: testEnv(t)})
	wantError(t, err, ErrOverloaded, PhaseQueue, SentNo)
	close(release)
	long.Wait()
	if st := p.Stats(); st.Idle != 0 {
		t.Errorf("%d connections are kept, want none", st.Idle)
	}
	if _, err := NewPool(Config{Address: s.Address}); err == nil {
		t.Error("a pool without connections was made")
	}
}
