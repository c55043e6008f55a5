package fcgi

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/test/fcgitest"
)

func TestServerThatIsDownIsTriedAtIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipePool(t, fcgitest.Echo, fcgitest.Options{}, Config{})
		up := p.netDial
		var dials atomic.Int64
		var back atomic.Bool
		p.netDial = func(ctx context.Context, cfg *Config) (net.Conn, error) {
			dials.Add(1)
			if back.Load() {
				return up(ctx, cfg)
			}
			return nil, syscall.ENOENT
		}
		start := time.Now()
		_, _, err := call(p, &Request{Env: testEnv(t)})
		wantError(t, err, ErrUnavailable, PhaseDial, SentNo)
		if !errors.Is(err, syscall.ENOENT) {
			t.Errorf("%v does not say why", err)
		}
		if took := time.Since(start); took < downAfter || took > 2*downAfter {
			t.Errorf("gave up after %v, want a bit over %v", took, downAfter)
		}
		if e := <-p.Events(); e.Kind != EventUnreachable || !p.Stats().Down {
			t.Errorf("got event %v, down %v", e, p.Stats().Down)
		}

		dials.Store(0)
		for range 100 { // ten seconds of traffic
			start := time.Now()
			_, _, err := call(p, &Request{Env: testEnv(t)})
			wantError(t, err, ErrUnavailable, PhaseDial, SentNo)
			if took := time.Since(start); took != 0 {
				t.Fatalf("failed after %v, want at once", took)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := dials.Load(); n < 30 || n > 41 {
			t.Errorf("%d attempts in 10s, want one each %v", n, tryEvery)
		}

		back.Store(true)
		time.Sleep(2 * tryEvery)
		if _, body, err := call(p, &Request{Env: testEnv(t), Body: []byte("up")}); body != "up" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
		if e := <-p.Events(); e.Kind != EventReachable || p.Stats().Down {
			t.Errorf("got event %v, down %v", e, p.Stats().Down)
		}
	})
}

func TestASocketThatMayNotBeOpenedNamesTheRights(t *testing.T) {
	err := withRights(&net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)})
	if op := new(net.OpError); !errors.As(err, &op) || !strings.Contains(err.Error(), "listen.group") {
		t.Errorf("got %v", err)
	}
	if err := withRights(syscall.ECONNREFUSED); err != syscall.ECONNREFUSED {
		t.Errorf("got %v", err)
	}
}

// A machine that is off answers nothing: each attempt takes DialTimeout.
func TestNoRequestWaitsForAServerThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipePool(t, nil, fcgitest.Options{}, Config{MaxConnections: 2})
		var dials atomic.Int64
		p.netDial = func(_ context.Context, cfg *Config) (net.Conn, error) {
			dials.Add(1)
			time.Sleep(cfg.DialTimeout)
			return nil, syscall.ETIMEDOUT
		}
		for !p.Stats().Down {
			_, _, err := call(p, &Request{Env: testEnv(t)})
			wantError(t, err, ErrUnavailable, PhaseDial, SentNo)
		}
		dials.Store(0)
		var all sync.WaitGroup
		var late atomic.Int64
		for range 1000 { // ten seconds of traffic
			all.Go(func() {
				start := time.Now()
				_, _, err := call(p, &Request{Env: testEnv(t)})
				wantError(t, err, ErrUnavailable, PhaseDial, SentNo)
				if time.Since(start) > 0 {
					late.Add(1)
				}
			})
			time.Sleep(10 * time.Millisecond)
		}
		all.Wait()
		if n := dials.Load(); n < 7 || n > 9 || late.Load() != 0 {
			t.Errorf("%d attempts in 10s, %d requests waited; want one attempt each %v, and none", n, late.Load(), time.Second+tryEvery)
		}
	})
}

// endsLate is a context whose deadline has passed before its timer has run, as on a machine
// that is late. Dialing ends with the deadline.
type endsLate struct{ context.Context }

func (endsLate) Err() error            { return nil }
func (endsLate) Done() <-chan struct{} { return nil }

// Callers with little time are no sign that the server is down.
func TestADeadlineOfTheCallerIsNoFailureOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipePool(t, fcgitest.Echo, fcgitest.Options{}, Config{})
		up := p.netDial
		p.netDial = func(ctx context.Context, cfg *Config) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:9") // gives up without an attempt
		}
		for range 2 * downFailures {
			ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Millisecond))
			_, err := p.dialOnce(endsLate{ctx}, &slot{cfg: p.cfg})
			if dial := (*net.OpError)(nil); !errors.As(err, &dial) || !dial.Timeout() {
				t.Fatalf("got %v, want that the time is over", err)
			}
			cancel()
			time.Sleep(downAfter / downFailures)
		}
		p.netDial = up
		if _, body, err := call(p, &Request{Env: testEnv(t), Body: []byte("up")}); body != "up" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
	})
}

// A failure of long ago does not make a restart of the server an outage.
func TestARestartAfterAnOldFailureIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipePool(t, fcgitest.Echo, fcgitest.Options{}, Config{QueueWait: 10 * time.Second, DialTimeout: time.Second})
		up := p.netDial
		p.netDial = func(context.Context, *Config) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond) // the client leaves
		defer cancel()
		if _, err := p.Do(ctx, &Request{Env: testEnv(t)}); !errors.Is(err, ErrTimeout) || p.Stats().DialErrors == 0 {
			t.Fatalf("got %v after %d attempts", err, p.Stats().DialErrors)
		}
		time.Sleep(time.Hour)
		back := time.Now().Add(downAfter / 2)
		p.netDial = func(ctx context.Context, cfg *Config) (net.Conn, error) {
			if time.Now().Before(back) {
				return nil, syscall.ECONNREFUSED
			}
			return up(ctx, cfg)
		}
		if _, body, err := call(p, &Request{Env: testEnv(t), Body: []byte("up")}); body != "up" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
	})
}

// A trial at a server that does not answer takes long. After a move it says nothing.
func TestAMovedPoolDoesNotWaitForATrialAtItsFormerServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipePool(t, fcgitest.Echo, fcgitest.Options{}, Config{QueueWait: 10 * time.Second, DialTimeout: time.Second})
		up := p.netDial
		var refuse, silent atomic.Bool
		p.netDial = func(ctx context.Context, cfg *Config) (net.Conn, error) {
			switch {
			case refuse.Load():
				return nil, syscall.ECONNREFUSED
			case silent.Load():
				ours, _ := net.Pipe()
				return ours, nil
			}
			return up(ctx, cfg)
		}
		down := func() {
			t.Helper()
			refuse.Store(true)
			_, _, err := call(p, &Request{Env: testEnv(t)})
			wantError(t, err, ErrUnavailable, PhaseDial, SentNo)
			refuse.Store(false)
		}
		silent.Store(true)
		down()
		time.Sleep(2 * tryEvery) // a trial hangs
		if err := p.Configure(Config{Address: "moved", MaxConnections: 8, QueueWait: 10 * time.Second, DialTimeout: time.Second}); err != nil {
			t.Fatal(err)
		}
		silent.Store(false)
		down()
		time.Sleep(2 * tryEvery)
		if _, body, err := call(p, &Request{Env: testEnv(t), Body: []byte("up")}); body != "up" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
	})
}
