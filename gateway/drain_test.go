package gateway

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsfpm/session"
	"wsfpm/test/fcgitest"
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

// countBus counts members as the bus does.
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

// A stream that begins when its client has been told to leave, because its
// message waited or its script was slow to begin, is cut short as well.
func TestADrainCutsStreamsThatBeginLater(t *testing.T) {
	for _, which := range []string{"its message waits", "its header is late"} {
		t.Run(which, func(t *testing.T) {
			late, over := make(chan struct{}), make(chan struct{})
			h := startServer(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
				if r.Params["WS_EVENT"] != "message" {
					w.Stdout("Status: 204\r\n\r\n")
					return
				}
				if which == "its header is late" {
					<-late
				}
				w.Stdout("Content-Type: application/x-ndjson\r\n\r\nbegun\n")
				for {
					select {
					case <-time.After(100 * time.Millisecond):
						w.Stdout("more\n")
					case <-over:
						return
					}
				}
			})
			t.Cleanup(func() { close(over) })
			p := h.dial("/", nil)
			p.send("one")
			eventually(t, "a client", func() bool { return len(h.clients()) == 1 })
			c := h.clients()[0]
			eventually(t, "a handler at work", c.inbox.isBusy)
			if which == "its message waits" {
				p.want("begun")
				p.send("two")
				eventually(t, "a message that waits", func() bool {
					c.inbox.mu.Lock()
					defer c.inbox.mu.Unlock()
					return len(c.inbox.waiting) == 1
				})
			}
			go func() { // reads to the end
				for {
					if _, _, err := p.Read(context.Background()); err != nil {
						return
					}
				}
			}()
			done := make(chan int, 1)
			go func() { done <- h.Drain(within(t, patience)) }()
			eventually(t, "the client to be told to leave", func() bool {
				c.inbox.mu.Lock()
				defer c.inbox.mu.Unlock()
				return c.inbox.shut
			})
			close(late)
			if lost := <-done; lost > 0 {
				t.Errorf("the drain gave %d up: the stream went on", lost)
			}
		})
	}
}

func TestDrainClosesBehindWhatRuns(t *testing.T) {
	gate := make(chan struct{})
	h := start(t, func(params map[string]string, body string) (string, string) {
		if body == "slow" {
			<-gate
		}
		return "Content-Type: text/plain", body
	}, nil)
	p := h.dial("/", nil)
	p.send("slow")
	p.send("next")
	eventually(t, "slow runs", func() bool { return len(h.seen("message")) == 1 })
	eventually(t, "next waits", func() bool {
		b := &h.connections()[0].inbox
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.waiting) == 1
	})
	var over sync.WaitGroup
	over.Go(func() {
		if n := h.Drain(t.Context()); n != 0 {
			t.Errorf("gave up %d connections", n)
		}
	})
	eventually(t, "draining", func() bool { return h.Ready() != nil })
	if _, answer, err := websocket.Dial(t.Context(), h.url, nil); err == nil || answer.StatusCode != 503 {
		t.Errorf("a newcomer: got %v, %v", answer, err)
	}
	close(gate)
	p.want("slow")
	p.want("next")
	p.wantClose(1012)
	over.Wait()
	if got := h.seen("disconnect"); len(got) != 1 || got[0]["WS_CLOSE_CODE"] != "1012" {
		t.Errorf("disconnect: got %v", got)
	}
}
