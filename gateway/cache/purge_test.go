package cache

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestNoAnswerIsOlderThanAPurge runs writers, who change a value and purge, against clients,
// who must never get an older value than the newest one purged before they asked, nor one of
// another key or header.
func TestNoAnswerIsOlderThanAPurge(t *testing.T) {
	w := newWorld(t)
	var value, purged atomic.Int64
	var clients, writers sync.WaitGroup
	turn := make(chan struct{}, 1) // now and then: between purges answers are stored
	writers.Go(func() {
		for range turn {
			n := value.Add(1)
			w.Purge()
			purged.Store(n)
		}
	})
	for i := range 16 {
		clients.Go(func() {
			for n := range 2000 {
				w.client(i, n, &value, &purged)
				if n%16 == 0 {
					select {
					case turn <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	clients.Wait()
	close(turn)
	writers.Wait()
	if len(w.flights) != 0 {
		t.Errorf("%d flights are left", len(w.flights))
	}
	if w.stats.Hits.Load()+w.stats.Waits.Load() == 0 {
		t.Error("no message was answered without a run")
	}
}

// client is one message of a client in TestNoAnswerIsOlderThanAPurge.
func (w *world) client(i, n int, value, purged *atomic.Int64) {
	name, user := fmt.Sprint("key", n%3), fmt.Sprint("user", i%2)
	least := purged.Load()
	m, run, err := w.Ask(question(name, "user="+user))
	if err != nil {
		w.t.Error(err)
		return
	}
	if run == nil {
		var got int64
		var k, u string
		if _, err := fmt.Sscan(text(m), &k, &u, &got); err != nil || k != name || u != user || got < least {
			w.t.Errorf("got %q, want %s %s and at least %d", text(m), name, user, least)
		}
		return
	}
	defer run.Close()
	switch n % 11 {
	case 5: // it fails
	case 7:
		run.Refuse()
	default:
		read := value.Load()
		runtime.Gosched() // PHP answers later
		run.Store(message(fmt.Sprint(name, " ", user, " ", read)), time.Minute, []string{"user"})
	}
}
