package fcgi

import (
	"strings"
	"sync"
	"testing"

	"wsfpm/fcgi/fcgitest"
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
