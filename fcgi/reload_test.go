package fcgi

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/test/fcgitest"
)

func TestAReloadThatChangesNothingForgetsNothing(t *testing.T) {
	t.Log("contract-row: 5.reload-same")
	synctest.Test(t, func(t *testing.T) {
		m := machine{workers: 2, script: 100 * ms}
		cfg := Config{MaxConnections: 4, MaxIdle: 4}
		p := m.pool(t, cfg)
		reload := func(change func(*Config)) Stats {
			next := *p.cfg
			change(&next)
			if err := p.Configure(usual(next)); err != nil {
				t.Fatal(err)
			}
			return p.Stats()
		}
		if limit, _ := m.load(t, p, 10, 2*time.Second); limit != 2 {
			t.Fatalf("worked with %d, want 2", limit)
		}
		if st := reload(func(*Config) {}); st.Limit != 2 || !st.Probe || st.Service == 0 {
			t.Errorf("the same again: got %+v, want all that was learned", st)
		}
		if st := reload(func(c *Config) { c.QueueWait = time.Minute }); st.Limit != 2 {
			t.Errorf("another queue_wait: limit %d, want 2", st.Limit)
		}
		if st := reload(func(c *Config) { c.MaxConnections = 5 }); st.Limit != 5 || !st.Probe {
			t.Errorf("another max_connections: got %+v, want 5 to be tried", st)
		}
		if st := reload(func(c *Config) { c.Address = "another machine" }); st.Limit != 5 || st.Probe {
			t.Errorf("another address: got %+v, want nothing known", st)
		}
	})
}

func TestARetiredPoolKeepsNothingAndServes(t *testing.T) {
	hold := make(chan struct{})
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		if string(r.Body) == "held" {
			<-hold
		}
		fcgitest.Echo(w, r)
	}, fcgitest.Options{})
	p := poolFor(t, s, Config{MaxConnections: 3, MaxIdle: 3, IdleTimeout: time.Hour})
	ask := func(body string) {
		if _, got, err := call(p, &Request{Env: testEnv(t), Body: []byte(body)}); got != body || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, body)
		}
	}
	ask("first")
	var running sync.WaitGroup
	running.Go(func() { ask("held") })
	eventually(t, "a running script", func() bool { return s.Served() == 2 })
	ask("beside it")
	if st := p.Stats(); st.Idle != 1 {
		t.Fatalf("%d idle, want 1", st.Idle)
	}
	p.Retire()
	if st := p.Stats(); st.Idle != 0 || st.Running != 1 {
		t.Errorf("got %+v, want one that runs and none idle", st)
	}
	ask("late")
	close(hold)
	running.Wait()
	eventually(t, "all connections closed", func() bool { return s.Open() == 0 })
}
