package fcgi

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/test/fcgitest"
)

// A server has two workers and the pool is configured for four: the pool detects it,
// reports it, and serves every request.
func TestFewerWorkersThanConfigured(t *testing.T) {
	hold := make(chan struct{})
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		if len(r.Body) > 0 {
			<-hold
		}
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
	if e := <-p.Events(); e.Kind != EventStalled || e.Limit != 2 || e.Config != 4 {
		t.Errorf("got event %+v", e)
	}
	close(hold)
	callers.Wait()
	if st := p.Stats(); st.Limit != 2 || st.Stalls < 2 || st.Config != 4 {
		t.Errorf("limit %d of %d after %d stalls, want 2 of 4 after 2 or more", st.Limit, st.Config, st.Stalls)
	}
}

// A connection in the backlog takes precedence over idle ones, even if the limit is
// higher than the number of workers.
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
	close(hold)
	for range 3 {
		if err := <-ends; err != nil {
			t.Error(err)
		}
	}
}

// Closing an idle connection costs the pool a new one, so that no more are closed than
// are missed, however late the worker is.
func TestOneConnectionMakesWayForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := machine{workers: 3, script: time.Minute}.pool(t, Config{MaxConnections: 4, MaxIdle: 4, IdleTimeout: time.Hour})
		ask := func() {
			if _, _, err := call(p, &Request{Env: testEnv(t)}); err != nil {
				t.Error(err)
			}
		}
		var callers sync.WaitGroup
		callers.Go(ask)
		synctest.Wait()
		time.Sleep(20 * time.Second)
		for range 3 {
			callers.Go(ask)
		}
		time.Sleep(45 * time.Second) // the first has ended, and the fourth its connection
		if st := p.Stats(); st.Stalls != 1 || st.Idle != 0 || st.Running != 3 || st.Dials != 4 {
			t.Errorf("got %+v, want the first connection closed for the one that was missed", st)
		}
		callers.Wait()
		if st := p.Stats(); st.Dials != 4 || st.Idle != 3 {
			t.Errorf("got %+v, want the others kept", st)
		}
	})
}

// Workers that other clients held are used at once when those leave.
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
	others[0].Close()
	eventually(t, "the pool to work with the one worker", func() bool { return p.Stats().Limit == 1 })
	for _, c := range others[1:] {
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

// A server that is stopped, or that serves other clients only, gives no evidence of its
// number of workers.
func TestNoWorkerAtAllProvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := machine{workers: 1, script: ms}
		p := m.pool(t, Config{MaxConnections: 4, MaxIdle: -1})
		call(p, &Request{Env: testEnv(t)}) // learns of the probe
		other, err := p.netDial(t.Context(), p.cfg)
		if err != nil {
			t.Fatal(err)
		}
		var callers sync.WaitGroup
		for range 6 {
			callers.Go(func() { call(p, &Request{Env: testEnv(t)}) })
		}
		time.Sleep(time.Minute)
		if st := p.Stats(); st.Limit != 4 || st.Stalls != 4 {
			t.Errorf("limit %d after %d stalls, want 4 and 4", st.Limit, st.Stalls)
		}
		other.Close()
		callers.Wait()
	})
}

func TestLimitRisesSlowly(t *testing.T) {
	l := newWorkingLimit(3)
	start := time.Unix(0, 0)
	for i, step := range []struct {
		at    time.Duration
		lower int // 0: a tick
		want  int
	}{
		{0, 1, 1},
		{0, 3, 1}, // no news
		{4 * time.Second, 0, 1},
		{5 * time.Second, 0, 2},
		{6 * time.Second, 1, 1}, // wrong at once: the wait doubles
		{15 * time.Second, 0, 1},
		{16 * time.Second, 0, 2},
		{26 * time.Second, 0, 3},
		{99 * time.Second, 0, 3},
		{100 * time.Second, 1, 1}, // another story, of five workers
		{105 * time.Second, 0, 2},
		{110 * time.Second, 0, 4}, // all is well: by twice as many
		{115 * time.Second, 0, 5},
		{116 * time.Second, 3, 3}, // at once, however many rose
	} {
		if i == 9 {
			l.now, l.configured = 3, 5
		}
		if step.lower > 0 {
			l.lower(step.lower, start.Add(step.at))
		} else {
			l.tick(start.Add(step.at))
		}
		if l.now != step.want {
			t.Errorf("step %d at %v: limit %d, want %d", i, step.at, l.now, step.want)
		}
	}
}
