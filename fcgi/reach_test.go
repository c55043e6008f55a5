package fcgi

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/test/fcgitest"
)

func TestRestartOfTheServerIsWaitedFor(t *testing.T) {
	dir, err := os.MkdirTemp("", "fcgi")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	p := newTestPool(t, Config{Address: filepath.Join(dir, "sock")})
	answered := make(chan error)
	go func() {
		_, _, err := call(p, &Request{Env: testEnv(t)})
		answered <- err
	}()
	eventually(t, "attempts", func() bool { return p.Stats().DialErrors >= 3 })
	serve(t, fcgitest.Echo, fcgitest.Options{Address: filepath.Join(dir, "sock")})
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestFullBacklogIsOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipePool(t, nil, fcgitest.Options{}, Config{QueueWait: 3 * time.Second})
		p.netDial = func(context.Context, *Config) (net.Conn, error) { return nil, syscall.EAGAIN }
		_, _, err := call(p, &Request{Env: testEnv(t)})
		wantError(t, err, ErrOverloaded, PhaseDial, SentNo)
		if p.Stats().Down {
			t.Error("taken for down")
		}
	})
}

func TestAConnectWithoutADescriptorLeavesTheCircuitClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipePool(t, nil, fcgitest.Options{}, Config{QueueWait: 3 * time.Second})
		p.netDial = func(context.Context, *Config) (net.Conn, error) {
			return nil, os.NewSyscallError("socket", syscall.EMFILE)
		}
		start := time.Now()
		_, _, err := call(p, &Request{Env: testEnv(t)})
		wantError(t, err, ErrUnavailable, PhaseDial, SentNo)
		if p.Stats().Down || time.Since(start) < 2*time.Second {
			t.Errorf("gave up after %v, taken for down: %v; want to wait for a descriptor as for a worker", time.Since(start), p.Stats().Down)
		}
	})
}

func TestIdleConnectionsGoInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipePool(t, func(w *fcgitest.Writer, _ *fcgitest.Request) {
			time.Sleep(time.Millisecond)
			w.Stdout("X: y\r\n\r\n")
		}, fcgitest.Options{}, Config{MaxConnections: 5, MaxIdle: 3, IdleTimeout: 2 * time.Second})
		call(p, &Request{Env: testEnv(t)})
		var callers sync.WaitGroup
		for range 5 {
			callers.Go(func() { call(p, &Request{Env: testEnv(t)}) })
		}
		callers.Wait()
		if s := p.Stats(); s.Idle != 3 {
			t.Fatalf("%d idle, want 3", s.Idle)
		}
		time.Sleep(1500 * time.Millisecond)
		call(p, &Request{Env: testEnv(t)}) // keeps the newest alone
		time.Sleep(500 * time.Millisecond)
		if s := p.Stats(); s.Idle != 1 {
			t.Errorf("%d idle after 2s, want the one in use", s.Idle)
		}
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if s := p.Stats(); s.Idle != 0 || len(p.conns) != 0 || p.sweeping {
			t.Errorf("%d idle after 3.5s, %d connections, sweeping %v", s.Idle, len(p.conns), p.sweeping)
		}
	})
}

func TestConnectionPerRequest(t *testing.T) {
	s := serve(t, fcgitest.Echo, fcgitest.Options{})
	p := poolFor(t, s, Config{IdleTimeout: -1})
	for range 5 {
		if _, body, err := call(p, &Request{Env: testEnv(t), Body: []byte("x")}); body != "x" || err != nil {
			t.Fatal(body, err)
		}
	}
	if st := p.Stats(); st.Idle != 0 || st.Reuses != 0 || st.Dials < 5 {
		t.Errorf("got %+v", st)
	}
}

func TestAnotherClientIsServedWithinIdleTimeout(t *testing.T) {
	s := serve(t, fcgitest.Echo, fcgitest.Options{Workers: 2})
	p := poolFor(t, s, Config{MaxConnections: 2, MaxIdle: 2, IdleTimeout: 300 * time.Millisecond})
	call(p, &Request{Env: testEnv(t)})
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() { call(p, &Request{Env: testEnv(t)}) })
	}
	callers.Wait()
	stranger := poolFor(t, s, Config{})
	if _, body, err := call(stranger, &Request{Env: testEnv(t), Body: []byte("x")}); body != "x" || err != nil {
		t.Fatal(body, err)
	}
}

func TestConfigureMovesToAnotherServer(t *testing.T) {
	one := serve(t, fcgitest.Reply(200, "one"), fcgitest.Options{})
	two := serve(t, fcgitest.Reply(200, "two"), fcgitest.Options{})
	p := poolFor(t, one, Config{})
	call(p, &Request{Env: testEnv(t)})
	if err := p.Configure(usual(Config{Address: two.Address, MaxConnections: 7})); err != nil {
		t.Fatal(err)
	}
	if err := p.Configure(Config{}); err == nil {
		t.Error("a configuration without an address was taken")
	}
	_, body, err := call(p, &Request{Env: testEnv(t)})
	if st := p.Stats(); body != "two" || err != nil || st.Limit != 7 {
		t.Errorf("got %q, %v, limit %d", body, err, st.Limit)
	}
	eventually(t, "old connection closed", func() bool { return one.Open() == 0 })
}

func TestConnectionOfAnEarlierServerIsNotKept(t *testing.T) {
	release := make(chan struct{})
	one := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		<-release
		fcgitest.Echo(w, r)
	}, fcgitest.Options{})
	two := serve(t, fcgitest.Reply(200, "two"), fcgitest.Options{})
	p := poolFor(t, one, Config{})
	var running sync.WaitGroup
	running.Go(func() {
		if _, body, err := call(p, &Request{Env: testEnv(t), Body: []byte("one")}); body != "one" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
	})
	eventually(t, "running", func() bool { return one.Served() == 1 })
	if err := p.Configure(usual(Config{Address: two.Address, MaxIdle: 9})); err != nil {
		t.Fatal(err)
	}
	close(release)
	running.Wait()
	if _, body, err := call(p, &Request{Env: testEnv(t)}); body != "two" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
}

func TestConnectionThatTheServerClosedIsNotUsed(t *testing.T) {
	for _, c := range []struct {
		name     string
		since    time.Duration // from now, when the worker was proven free
		recycled uint64
	}{
		{"looked at", -30 * time.Minute, 1},
		{"just proven", time.Minute, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, fcgitest.Echo, fcgitest.Options{})
			p := poolFor(t, s, Config{IdleTimeout: time.Hour})
			call(p, &Request{Env: testEnv(t)})
			s.CloseConnections()
			p.mu.Lock()
			p.idle[0].idleSince = time.Now().Add(c.since)
			p.mu.Unlock()
			if _, body, err := call(p, &Request{Env: testEnv(t), Body: []byte("x")}); body != "x" || err != nil {
				t.Errorf("got %q, %v", body, err)
			}
			if st := p.Stats(); st.Recycles != c.recycled || st.Retries != 1-c.recycled {
				t.Errorf("%d recycles, %d retries; want %d and %d", st.Recycles, st.Retries, c.recycled, 1-c.recycled)
			}
		})
	}
}

func TestMoreConnectionsServeThoseWhoWait(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		if string(r.Body) == "slow" {
			<-release
		}
		fcgitest.Echo(w, r)
	}, fcgitest.Options{})
	p := poolFor(t, s, Config{MaxConnections: 1})
	var slow sync.WaitGroup
	slow.Go(func() { call(p, &Request{Env: testEnv(t), Body: []byte("slow")}) })
	eventually(t, "running", func() bool { return s.Served() == 1 })
	quick := make(chan error)
	go func() {
		_, _, err := call(p, &Request{Env: testEnv(t)})
		quick <- err
	}()
	eventually(t, "waiting", func() bool { return p.Stats().Waiting[LaneHigh] == 1 })
	if err := p.Configure(usual(Config{Address: s.Address, MaxConnections: 2})); err != nil {
		t.Fatal(err)
	}
	if err := <-quick; err != nil {
		t.Error(err)
	}
	close(release)
	slow.Wait()
}

func TestCloseLetsRunningOnesEndAndRefusesTheRest(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		<-release
		fcgitest.Echo(w, r)
	}, fcgitest.Options{})
	p := poolFor(t, s, Config{MaxConnections: 1})
	ended := make(chan error, 2)
	run := func() {
		_, _, err := call(p, &Request{Env: testEnv(t)})
		ended <- err
	}
	go run()
	eventually(t, "running", func() bool { return s.Served() == 1 })
	go run()
	eventually(t, "waiting", func() bool { return p.Stats().Waiting[LaneHigh] == 1 })
	closed := make(chan error)
	go func() { closed <- p.Close(context.Background()) }()
	wantError(t, <-ended, ErrClosed, PhaseQueue, SentNo)
	_, _, err := call(p, &Request{Env: testEnv(t)})
	wantError(t, err, ErrClosed, PhaseQueue, SentNo)
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("running one: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestCloseCutsWhatDoesNotEnd(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(*fcgitest.Writer, *fcgitest.Request) { <-release }, fcgitest.Options{})
	p := poolFor(t, s, Config{})
	ended := make(chan error, 2)
	go func() {
		_, _, err := call(p, &Request{Env: testEnv(t)})
		ended <- err
	}()
	eventually(t, "running", func() bool { return s.Served() == 1 })
	_, _, err := call(p, &Request{Env: testEnv(t), Timeout: 10 * time.Millisecond}) // leaves one settling
	wantError(t, err, ErrTimeout, PhaseWait, SentMaybe)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: got %v", err)
	}
	wantError(t, <-ended, ErrClosed, PhaseWait, SentMaybe)
	close(release)
}

func TestResponseClosedAfterItsPool(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(w *fcgitest.Writer, _ *fcgitest.Request) {
		w.Stdout("X: y\r\n\r\n")
		<-release
	}, fcgitest.Options{})
	p := poolFor(t, s, Config{})
	resp, err := p.Do(context.Background(), &Request{Env: testEnv(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: got %v", err)
	}
	resp.Close()
	if st := p.Stats(); st.Running+st.Settling != 0 || st.Settled != 0 {
		t.Errorf("got %+v, want nothing left and nothing settled", st)
	}
	close(release)
}
