package gateway

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"wsfpm/fcgi/fcgitest"
	"wsfpm/session"
)

func TestDrainEndsThoughAStreamRuns(t *testing.T) {
	stop := make(chan struct{})
	h := startServer(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		if r.Params["WS_EVENT"] != "message" {
			w.Stdout("Status: 204\r\n\r\n")
			return
		}
		w.Stdout("Content-Type: application/x-ndjson\r\n\r\n0\n")
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				w.Stdout(fmt.Sprintf("%d\n", i))
			}
		}
	})
	p := h.dial("/", nil)
	p.send("go")
	p.want("0")
	go func() {
		for {
			if _, _, err := p.Read(context.Background()); err != nil {
				return
			}
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	done := make(chan int, 1)
	go func() { done <- h.Drain(ctx) }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Error("Drain still runs long after its context ended (drain = 100ms)")
	}
	close(stop)
}

// countBus counts members like the roster does.
type countBus struct {
	Bus
	mu      sync.Mutex
	members map[session.Address]int
}

func (b *countBus) Join(_ context.Context, names []session.Address) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range names {
		b.members[n]++
	}
	return true
}

func (b *countBus) Leave(names []session.Address) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range names {
		b.members[n]--
	}
}
