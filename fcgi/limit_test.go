package fcgi

import (
	"net"
	"sync"
	"testing"
	"time"

	"wsfpm/fcgi/fcgitest"
)

// TestFewerWorkersThanConfigured has a server with two workers and a pool that
// believes in four: the pool must find out, say so, and serve everybody.
func TestFewerWorkersThanConfigured(t *testing.T) {
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		time.Sleep(200 * time.Millisecond)
		fcgitest.Echo(w, r)
	}, fcgitest.Options{Workers: 2})
	p := poolFor(t, s, Config{MaxConnections: 4, MaxIdle: 4, IdleTimeout: time.Minute})
	call(p, &Request{Env: testEnv(t)})
	var callers sync.WaitGroup
	for range 12 {
		callers.Go(func() {
			if _, body, err := call(p, &Request{Env: testEnv(t), Body: []byte("x")}); body != "x" || err != nil {
				t.Errorf("got %q, %v", body, err)
			}
		})
	}
	callers.Wait()
	st := p.Stats()
	if st.Limit != 2 || st.Stalls != 2 || st.Config != 4 {
		t.Errorf("limit %d of %d after %d stalls, want 2 of 4 after 2", st.Limit, st.Config, st.Stalls)
	}
	if e := <-p.Events(); e.Kind != EventStalled || e.Limit != 3 || e.Config != 4 {
		t.Errorf("got event %+v", e)
	}
}

// A connection in the backlog is served before ours that are idle, even when the
// pool believes in more workers than there are.
func TestIdleConnectionsMakeWayForTheBacklog(t *testing.T) {
	hold := make(chan struct{})
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		<-hold
		fcgitest.Echo(w, r)
	}, fcgitest.Options{Workers: 2})
	p := poolFor(t, s, Config{MaxConnections: 3, MaxIdle: 3, IdleTimeout: time.Minute})
	ends := make(chan error, 3)
	ask := func() {
		_, _, err := call(p, &Request{Env: testEnv(t), Timeout: 10 * time.Second})
		ends <- err
	}
	go ask()
	hold <- struct{}{} // it has found out about the probe
	if err := <-ends; err != nil {
		t.Fatal(err)
	}
	for range 3 {
		go ask()
	}
	eventually(t, "a stall", func() bool { return p.Stats().Stalls == 1 })
	p.mu.Lock()
	p.limit = newWorkingLimit(3) // as after a while without a stall
	p.mu.Unlock()
	close(hold)
	for range 3 {
		if err := <-ends; err != nil {
			t.Error(err)
		}
	}
}

// Workers that were only late are all used again at once.
func TestLimitFollowsWorkersThatCome(t *testing.T) {
	const workers = 4
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		if len(r.Body) > 0 {
			<-hold
		}
		fcgitest.Echo(w, r)
	}, fcgitest.Options{Workers: workers})
	t.Cleanup(release)
	p := poolFor(t, s, Config{MaxConnections: 6, MaxIdle: -1})
	call(p, &Request{Env: testEnv(t)})
	var others []net.Conn
	for range workers {
		c, err := net.Dial(s.Network, s.Address)
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, c)
	}
	eventually(t, "busy workers", func() bool { return s.Open() == workers })
	var callers sync.WaitGroup
	for range 6 {
		callers.Go(func() {
			if _, _, err := call(p, &Request{Env: testEnv(t), Body: []byte("x")}); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "stalls", func() bool { return p.Stats().Stalls == 6 })
	if got := p.Stats().Limit; got != 1 {
		t.Errorf("limit %d after stalls only, want 1", got)
	}
	for _, c := range others {
		c.Close()
	}
	eventually(t, "running scripts", func() bool { return s.Open() == workers && p.Stats().Limit == workers })
	release()
	callers.Wait()
	if got := p.Stats(); got.Limit != workers || got.Running != 0 {
		t.Errorf("limit %d, %d running at the end, want %d and 0", got.Limit, got.Running, workers)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.missing != 0 {
		t.Errorf("%d connections still counted as missed", p.missing)
	}
}

func TestLimitRisesSlowly(t *testing.T) {
	l := newWorkingLimit(3)
	start := time.Unix(0, 0)
	for i, step := range []struct {
		at    time.Duration
		lower bool
		want  int
	}{
		{0, true, 2},
		{0, true, 1},
		{0, true, 1}, // never none
		{4 * time.Second, false, 1},
		{5 * time.Second, false, 2},
		{6 * time.Second, true, 1}, // wrong at once: the wait doubles
		{15 * time.Second, false, 1},
		{16 * time.Second, false, 2},
		{26 * time.Second, false, 3},
		{99 * time.Second, false, 3},
		{100 * time.Second, true, 2}, // another story, of five workers
		{100 * time.Second, true, 1},
		{105 * time.Second, false, 2},
		{110 * time.Second, false, 4}, // all is well: by twice as many
		{115 * time.Second, false, 5},
	} {
		if i == 10 {
			l.now, l.configured = 3, 5
		}
		if step.lower {
			l.lower(start.Add(step.at))
		} else {
			l.tick(start.Add(step.at))
		}
		if l.now != step.want {
			t.Errorf("step %d at %v: limit %d, want %d", i, step.at, l.now, step.want)
		}
	}
}
