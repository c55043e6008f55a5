package fcgi

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/test/fcgitest"
)

// behindProxy is a pool of a server behind a TCP proxy. While gone is set, the proxy
// takes what is sent and closes the connection after that time.
func behindProxy(t *testing.T, cfg Config) (p *Pool, gone *atomic.Bool, after *atomic.Int64, dials *atomic.Int64) {
	t.Helper()
	gone, after, dials = new(atomic.Bool), new(atomic.Int64), new(atomic.Int64)
	cfg.Network = "tcp"
	p = pipePool(t, fcgitest.Echo, fcgitest.Options{}, cfg)
	up := p.netDial
	p.netDial = func(ctx context.Context, cfg *Config) (net.Conn, error) {
		dials.Add(1)
		if !gone.Load() {
			return up(ctx, cfg)
		}
		client, server := net.Pipe()
		p.running.Go(func() {
			_, _ = server.Read(make([]byte, 4096))
			time.Sleep(time.Duration(after.Load()))
			server.Close()
		})
		return client, nil
	}
	return p, gone, after, dials
}

// lose makes the server go, and calls until the pool counts as down.
func lose(t *testing.T, p *Pool, gone *atomic.Bool) (maybe int) {
	t.Helper()
	gone.Store(true)
	p.mu.Lock()
	drop := p.trimIdleLocked(0, nil)
	p.mu.Unlock()
	p.drop(drop...)
	for !p.Stats().Down {
		_, _, err := call(p, &Request{Env: testEnv(t)})
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("got %v, want an error", err)
		}
		if e.Sent != SentNo {
			maybe++
		}
	}
	return maybe
}

func TestServerThatClosesNewConnectionsIsDown(t *testing.T) {
	for name, after := range map[string]time.Duration{"at once": 0, "after 5 s": 5 * time.Second} {
		for when, known := range map[string]bool{"from the start": false, "later": true} {
			t.Run(name+" "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, gone, delay, dials := behindProxy(t, Config{})
					if known {
						call(p, &Request{Env: testEnv(t)})
					}
					maybe := lose(t, p, gone)
					if known && maybe != 1 || !known && maybe != 0 {
						t.Errorf("%d requests may have run, want the first one at most, and only of a server that has answered before", maybe)
					}
					if e := <-p.Events(); e.Kind != EventUnreachable {
						t.Errorf("got event %v", e)
					}
					delay.Store(int64(after))
					dials.Store(0)
					for range 100 { // twenty seconds of traffic
						_, _, err := call(p, &Request{Env: testEnv(t)})
						wantError(t, err, ErrUnavailable, PhaseDial, SentNo)
						time.Sleep(200 * time.Millisecond)
					}
					if n := dials.Load(); n == 0 || n > int64(20*time.Second/(tryEvery+after))+2 {
						t.Errorf("%d trials in 20s, want one at a time", n)
					}
					gone.Store(false)
					time.Sleep(after + 2*tryEvery)
					synctest.Wait()
					if _, body, err := call(p, &Request{Env: testEnv(t), Body: []byte("up")}); body != "up" || err != nil {
						t.Errorf("got %q, %v", body, err)
					}
					if e := <-p.Events(); e.Kind != EventReachable || p.Stats().Down {
						t.Errorf("got event %v, down %v", e, p.Stats().Down)
					}
				})
			})
		}
	}
}

// A crash of one script says nothing about the others.
func TestScriptsThatDieUnansweredLeaveTheServerUp(t *testing.T) {
	for name, o := range map[string]fcgitest.Options{"PHP 8.2": {}, "PHP before 8.2": {CloseAfterValues: true}} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
				if string(r.Body) == "die" {
					w.Hangup()
					return
				}
				fcgitest.Echo(w, r)
			}, o)
			p := poolFor(t, s, Config{})
			for began := time.Now(); time.Since(began) < 2*downAfter; {
				_, _, err := call(p, &Request{Env: testEnv(t), Body: []byte("die")})
				wantError(t, err, ErrTruncated, PhaseWait, SentMaybe)
			}
			if _, body, err := call(p, &Request{Env: testEnv(t), Body: []byte("x")}); body != "x" || err != nil {
				t.Errorf("got %q, %v", body, err)
			}
			if st := p.Stats(); st.Down || st.EventsLost > 0 {
				t.Errorf("down %v, %d events lost, want a server that is up", st.Down, st.EventsLost)
			}
			for range len(p.Events()) { // a late worker may be one, and what PHP does with probes
				if e := <-p.Events(); e.Kind == EventUnreachable {
					t.Errorf("got event %v", e)
				}
			}
		})
	}
}

func TestTrialsEndWithThePool(t *testing.T) {
	for name, end := range map[string]func(*Pool){
		"retired": (*Pool).Retire,
		"closed":  func(p *Pool) { _ = p.Close(context.Background()) },
		"moved": func(p *Pool) {
			moved := *p.cfg
			moved.Address = "elsewhere"
			_ = p.Configure(moved)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, gone, _, dials := behindProxy(t, Config{})
				lose(t, p, gone)
				end(p)
				time.Sleep(time.Second)
				dials.Store(0)
				time.Sleep(time.Minute)
				if n := dials.Load(); n > 0 {
					t.Errorf("%d trials since, want none", n)
				}
			})
		})
	}
}
