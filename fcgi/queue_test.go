package fcgi

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/test/fcgitest"
)

func newQueue() *queue { return &queue{owners: make(map[string]*owner)} }

func (q *queue) add(lane Lane, name string) *waiter {
	w := &waiter{lane: lane, owner: q.owner(name)}
	q.push(w, 1)
	return w
}

// The queue of one owner does not count into the expected wait of others.
func TestOneOwnersQueueDoesNotShedOthers(t *testing.T) {
	p := newTestPool(t, Config{Address: "/nowhere", MaxConnections: 4, QueueWait: 10 * time.Second})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.service = 3 * time.Second
	for range 100 {
		p.queue.push(&waiter{lane: LaneHigh, owner: p.queue.owner("greedy")}, p.shareLocked())
	}
	if err := p.refuseLocked(LaneHigh, p.queue.owner("greedy"), time.Now()); !errors.Is(err, ErrOverloaded) {
		t.Errorf("the greedy one: got %v, want ErrOverloaded", err)
	}
	for _, lane := range []Lane{LaneHigh, LaneNormal, LaneLow} {
		if err := p.refuseLocked(lane, p.queue.owner("modest"), time.Now()); err != nil {
			t.Errorf("another, lane %d: %v", lane, err)
		}
	}
	for w := p.queue.next(2); w != nil; w = p.queue.next(2) {
		_ = w
	}
	if p.queue.excess != 0 || p.queue.owners["greedy"].excess != 0 {
		t.Errorf("%d requests are still beyond a share", p.queue.excess)
	}
}

func TestOwnerWithItsShareLetsOthersPass(t *testing.T) {
	q := newQueue()
	for i := range 4 {
		q.add(LaneHigh, "a").since = time.Unix(int64(i), 0)
	}
	q.add(LaneHigh, "b")
	q.add(LaneLow, "c")
	var order []string
	for range 4 {
		order = append(order, q.next(1).owner.name)
	}
	// One of a; then b, and c although its lane is low; then a all the same, since
	// no other request waits.
	if want := []string{"a", "b", "c", "a"}; !slices.Equal(order, want) {
		t.Errorf("got %v, want %v", order, want)
	}
	q.add(LaneHigh, "d")
	q.finished(q.owners["a"], 1)
	q.finished(q.owners["a"], 1)
	if w := q.next(1); w.owner.name != "a" || w.since != time.Unix(2, 0) {
		t.Errorf("got %s from %v, want a's third: its turn came before d's", w.owner.name, w.since)
	}
	if q.passed != 2 { // a's second and third, by b; c is of another lane
		t.Errorf("%d counted as overtaken, want 2", q.passed)
	}
}

// TestOnlyTheOvertakenAreCounted: a request that waits with its owner at its share, and
// is served before all later ones, was not passed over.
func TestOnlyTheOvertakenAreCounted(t *testing.T) {
	q := newQueue()
	for range 4 {
		q.add(LaneHigh, "a")
	}
	q.next(1)
	q.next(1) // beyond a's share, since no other request waits
	if q.passed != 0 {
		t.Errorf("%d counted though no other request waited", q.passed)
	}
	q.add(LaneHigh, "b")
	if w := q.next(1); w.owner.name != "b" {
		t.Fatalf("%s was served, want b", w.owner.name)
	}
	if q.next(1); q.passed != 1 {
		t.Errorf("%d counted, want the one that b overtook", q.passed)
	}
	q.remove(q.owners["a"].parked[LaneHigh].first, 1) // overtaken too, and gives up
	if q.passed != 2 {
		t.Errorf("%d counted, want the one that gave up too", q.passed)
	}
}

// TestQueueAgainstItsDefinition compares the queue with the plain statement of what
// it does, over random histories.
func TestQueueAgainstItsDefinition(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		q := newQueue()
		share := 1 + rnd.IntN(3)
		var waiting []*waiter // in order of arrival
		running := map[string]int{}
		streak, fasted := 0, 0
		for range 400 {
			switch rnd.IntN(4) {
			case 0, 1:
				name := string("abc-"[rnd.IntN(4)])
				w := &waiter{lane: Lane(rnd.IntN(lanes)), owner: q.owner(strings.Trim(name, "-"))}
				q.push(w, share)
				waiting = append(waiting, w)
			case 2:
				want := definedNext(waiting, share, &streak, &fasted)
				var name string
				if want != nil && want.owner != nil {
					name = want.owner.name
				}
				got := q.next(share)
				if got != want {
					t.Fatalf("seed %d: got %+v, want %+v", seed, got, want)
				}
				if got != nil {
					waiting = slices.DeleteFunc(waiting, func(w *waiter) bool { return w == got })
					running[name]++
				}
			case 3:
				if rnd.IntN(2) == 0 && len(waiting) > 0 { // a waiter gives up
					i := rnd.IntN(len(waiting))
					q.remove(waiting[i], share)
					waiting = slices.Delete(waiting, i, i+1)
					continue
				}
				for name, n := range running {
					if n > 0 && name != "" {
						running[name]--
						q.finished(q.owners[name], share)
						break
					}
				}
			}
			if q.total != len(waiting) {
				t.Fatalf("seed %d: %d in the queue, want %d", seed, q.total, len(waiting))
			}
		}
		for name, o := range q.owners {
			if o.running == 0 && o.waiting == 0 {
				t.Fatalf("seed %d: owner %q is still known", seed, name)
			}
		}
	}
}

// definedNext is which should be next: by lanes among those whose owner is below its
// share, else the oldest of the first lane that has any.
func definedNext(waiting []*waiter, share int, streak, fasted *int) *waiter {
	first := func(lane Lane, any bool) *waiter {
		for _, w := range waiting {
			if w.lane == lane && (any || w.owner == nil || w.owner.running < share) {
				return w
			}
		}
		return nil
	}
	high, normal := first(LaneHigh, false), first(LaneNormal, false)
	next := high
	if high == nil || normal != nil && *streak >= 3 {
		next = normal
	}
	if low := first(LaneLow, false); low != nil && *fasted >= 15 {
		next = low
	}
	for lane := LaneLow; next == nil && lane == LaneLow; lane++ {
		next = first(lane, false)
	}
	for lane := LaneHigh; next == nil && lane < lanes; lane++ {
		next = first(lane, true)
	}
	if next == nil {
		return nil
	}
	*fasted++
	switch next.lane {
	case LaneHigh:
		*streak++
	case LaneNormal:
		*streak = 0
	case LaneLow:
		*fasted = 0
	}
	return next
}

// TestNoSlotIsLost has many callers that give up at any moment.
func TestNoSlotIsLost(t *testing.T) {
	s := serve(t, fcgitest.Echo, fcgitest.Options{Workers: 3})
	p := poolFor(t, s, Config{MaxConnections: 3, MaxIdle: 2})
	var callers sync.WaitGroup
	for i := range 60 {
		callers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 2))
			for range 40 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rnd.IntN(3000))*time.Microsecond)
				r := &Request{Env: testEnv(t), Body: []byte("hi"), Lane: Lane(rnd.IntN(lanes)), Owner: fmt.Sprint(rnd.IntN(5))}
				if resp, err := p.Do(ctx, r); err == nil {
					if body, err := resp.ReadAll(); err == nil && string(body) != "hi" {
						t.Errorf("got %q", body)
					}
					resp.Close()
				}
				cancel()
			}
		})
	}
	callers.Wait()
	eventually(t, "all slots free", func() bool { s := p.Stats(); return s.Running+s.Settling == 0 })
	st := p.Stats()
	p.mu.Lock()
	if st.Waiting != [lanes]int{} || st.Idle > 2 || len(p.queue.owners) != 0 {
		t.Errorf("left over: %+v, owners %v", st, p.queue.owners)
	}
	p.mu.Unlock()
	if peak := s.Peak(); peak > 3 {
		t.Errorf("%d scripts at once", peak)
	}
	for range 3 { // and each slot still works
		if _, body, err := call(p, &Request{Env: testEnv(t), Body: []byte("yes")}); body != "yes" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
	}
}

func TestFullQueueRefuses(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(w *fcgitest.Writer, _ *fcgitest.Request) {
		<-release
		fcgitest.Reply(200, "ok")(w, nil)
	}, fcgitest.Options{})
	p := poolFor(t, s, Config{MaxConnections: 1, QueueLen: 2})
	var callers sync.WaitGroup
	for i := range 3 {
		callers.Go(func() {
			if _, body, err := call(p, &Request{Env: testEnv(t)}); body != "ok" || err != nil {
				t.Errorf("got %q, %v", body, err)
			}
		})
		eventually(t, "request in place", func() bool { s := p.Stats(); return s.Running == 1 && s.Waiting[LaneHigh] == i })
	}
	_, _, err := call(p, &Request{Env: testEnv(t)})
	wantError(t, err, ErrOverloaded, PhaseQueue, SentNo)
	close(release)
	callers.Wait()
}

func TestWaitEndsAfterQueueWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipePool(t, func(w *fcgitest.Writer, _ *fcgitest.Request) {
			time.Sleep(20 * time.Second)
			w.Stdout("X: y\r\n\r\n")
		}, fcgitest.Options{}, Config{MaxConnections: 1, QueueWait: 10 * time.Second})
		var first sync.WaitGroup
		first.Go(func() { call(p, &Request{Env: testEnv(t)}) })
		synctest.Wait()
		start := time.Now()
		_, _, err := call(p, &Request{Env: testEnv(t)})
		wantError(t, err, ErrOverloaded, PhaseQueue, SentNo)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("waited %v, want 10s", took)
		}
		start = time.Now()
		_, _, err = call(p, &Request{Env: testEnv(t), Waited: 7 * time.Second})
		wantError(t, err, ErrOverloaded, PhaseQueue, SentNo)
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("waited %v after 7s elsewhere, want 3s", took)
		}
		first.Wait()
	})
}

// After requests of 30 s all but one of those that would wait too long are shed; when
// PHP is fast again the pool recovers after a few requests.
func TestLoadSheddingEndsAfterSlowRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		takes := 30 * time.Second
		p := pipePool(t, func(w *fcgitest.Writer, _ *fcgitest.Request) {
			time.Sleep(takes)
			w.Stdout("X: y\r\n\r\nok")
		}, fcgitest.Options{}, Config{MaxConnections: 2, QueueWait: 10 * time.Second, Timeout: time.Minute, IdleTimeout: time.Hour})
		burst := func(n int) (refused int, longest time.Duration) {
			var callers sync.WaitGroup
			var mu sync.Mutex
			start := time.Now()
			for range n {
				callers.Go(func() {
					_, _, err := call(p, &Request{Env: testEnv(t)})
					mu.Lock()
					defer mu.Unlock()
					if errors.Is(err, ErrOverloaded) {
						refused++
					}
					longest = max(longest, time.Since(start))
				})
			}
			callers.Wait()
			return refused, longest
		}
		for range 3 {
			burst(2) // two slots, 30 s each
		}
		if refused, _ := burst(20); refused != 18 {
			t.Errorf("slow: %d of 20 refused, want all who cannot be served in time", refused)
		}
		takes = time.Millisecond
		for range 60 {
			burst(3) // two have slots, one waits: the first in the queue is never refused
		}
		if refused, longest := burst(200); refused != 0 || longest > time.Second {
			t.Errorf("well again: %d of 200 refused, longest %v", refused, longest)
		}
	})
}

func TestOwnersKeepToTheirShareWhileOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running, most := map[string]int{}, 0
		var mu sync.Mutex
		p := pipePool(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
			owner := string(r.Body)
			mu.Lock()
			running[owner]++
			if running["b"]+running["c"] > 0 {
				most = max(most, running["a"])
			}
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			running[owner]--
			mu.Unlock()
			w.Stdout("X: y\r\n\r\n")
		}, fcgitest.Options{}, Config{MaxConnections: 4, QueueWait: time.Hour, IdleTimeout: time.Hour})
		var callers sync.WaitGroup
		add := func(owner string, n int) {
			for range n {
				callers.Go(func() { call(p, &Request{Env: testEnv(t), Owner: owner, Body: []byte(owner)}) })
			}
			synctest.Wait()
		}
		add("b", 4) // take all the slots, so that what follows waits
		add("a", 40)
		add("b", 10)
		add("c", 10)
		time.Sleep(1500 * time.Millisecond)
		mu.Lock()
		if running["a"] != 2 {
			t.Errorf("a has %d of 4 slots, want its half", running["a"])
		}
		mu.Unlock()
		callers.Wait()
		if most > 3 { // 2, and one more in the moment when the others' last have ended
			t.Errorf("a had %d slots while others ran", most)
		}
	})
}

// Memory that a burst needed is released.
func TestFewWaitersAreKeptAfterAStorm(t *testing.T) {
	p := newTestPool(t, Config{Address: "/nowhere", MaxConnections: 1})
	var waiting sync.WaitGroup
	for i := range 4 * mostSpares {
		p.mu.Lock()
		w := p.waiterLocked()
		w.owner = p.queue.owner(fmt.Sprint("user", i))
		p.queue.push(w, 1)
		p.mu.Unlock()
		waiting.Go(func() { p.wait(t.Context(), w, 50*time.Millisecond) })
	}
	waiting.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.spare) > mostSpares || len(p.queue.spare) > mostSpares {
		t.Errorf("%d waiters and %d owners are kept, want %d of each at most", len(p.spare), len(p.queue.spare), mostSpares)
	}
}
