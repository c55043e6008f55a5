package fcgi

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/test/fcgitest"
)

// pipePool makes a pool whose connections are net.Pipes to the handler, for tests
// with a fake clock.
func pipePool(t *testing.T, h fcgitest.Handler, o fcgitest.Options, cfg Config) *Pool {
	t.Helper()
	cfg.Address = "pipe"
	p := newTestPool(t, cfg)
	var servers sync.WaitGroup
	p.netDial = func(context.Context, *Config) (net.Conn, error) {
		client, server := net.Pipe()
		servers.Go(func() {
			defer server.Close()
			fcgitest.Serve(server, h, o)
		})
		return client, nil
	}
	return p
}

func TestTimeoutReturnsAtOnceAndKeepsTheSlotWhileTheScriptRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := func(w *fcgitest.Writer, _ *fcgitest.Request) {
			time.Sleep(10 * time.Second)
			w.Stdout("X: y\r\n\r\nlate")
		}
		p := pipePool(t, script, fcgitest.Options{}, Config{MaxConnections: 1, IdleTimeout: time.Hour})
		start := time.Now()
		_, _, err := call(p, &Request{Env: testEnv(t), Timeout: 8 * time.Second})
		wantError(t, err, ErrTimeout, PhaseWait, SentMaybe)
		if took := time.Since(start); took != 8*time.Second {
			t.Errorf("took %v, want 8s", took)
		}
		if s := p.Stats(); s.Settling != 1 || s.Running != 0 {
			t.Errorf("got %+v, want one settling", s)
		}
		_, body, err := call(p, &Request{Env: testEnv(t)})
		if body != "late" || err != nil || time.Since(start).Round(time.Second) != 20*time.Second {
			t.Errorf("second: got %q, %v after %v; want it after 20s", body, err, time.Since(start))
		}
		if s := p.Stats(); s.Dials != 1 || s.Settled != 1 || s.Failures[Failure{PhaseWait, "timeout"}] != 1 {
			t.Errorf("got %+v, want the one connection used again", s)
		}
	})
}

func TestSettlingTimesOutAndReportsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		p := pipePool(t, func(*fcgitest.Writer, *fcgitest.Request) { <-stuck }, fcgitest.Options{},
			Config{MaxConnections: 1})
		start := time.Now()
		_, _, err := call(p, &Request{Env: testEnv(t), ID: "c1-7", Timeout: 3 * time.Second})
		wantError(t, err, ErrTimeout, PhaseWait, SentMaybe)
		e := <-p.Events()
		if took := time.Since(start).Round(time.Second); took != 11*time.Second {
			t.Errorf("gave up after %v, want 3s + 3s + 5s", took)
		}
		if e.Kind != EventStillRunning || e.ID != "c1-7" || e.Script != "/srv/test.php" {
			t.Errorf("got event %+v", e)
		}
		synctest.Wait()
		if s := p.Stats(); s.Settling != 0 || s.Running != 0 || s.SettleTimeouts != 1 {
			t.Errorf("got %+v, want the slot free", s)
		}
		close(stuck)
	})
}

// fastcgi_finish_request: the answer is complete, the worker is not free.
func TestFinishedRequestSettlesWhileTheScriptGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := func(w *fcgitest.Writer, r *fcgitest.Request) {
			w.Raw(fcgitest.Bytes("X: y\r\n\r\nanswer"))
			if string(r.Body) == "finish" {
				time.Sleep(2 * time.Second)
			}
			w.Ended()
		}
		p := pipePool(t, script, fcgitest.Options{}, Config{MaxConnections: 2, IdleTimeout: time.Hour})
		if _, _, err := call(p, &Request{Env: testEnv(t)}); err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{"finish", "next", "next"} {
			start := time.Now()
			_, got, err := call(p, &Request{Env: testEnv(t), Body: []byte(body)})
			if took := time.Since(start); got != "answer" || err != nil || took > readyGrace {
				t.Errorf("%s: got %q, %v after %v", body, got, err, took)
			}
		}
		if s := p.Stats(); s.Settling != 1 {
			t.Errorf("got %+v, want one settling", s)
		}
		time.Sleep(3 * time.Second)
		if s := p.Stats(); s.Settling != 0 || s.Idle != 2 {
			t.Errorf("got %+v, want two idle", s)
		}
	})
}

func TestARequestToBeFinishedIsOnlyCanceledUnsent(t *testing.T) {
	gate := make(chan struct{})
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		<-gate
		w.Stdout("X: y\r\n\r\nwhole")
	}, fcgitest.Options{})
	p := poolFor(t, s, Config{MaxConnections: 1})
	ctx, cancel := context.WithCancel(context.Background())
	waits := make(chan error, 1)
	go func() {
		eventually(t, "the first to run", func() bool { return s.Served() == 1 })
		go func() {
			_, err := p.Do(ctx, &Request{Env: testEnv(t), Finish: true})
			waits <- err
		}()
		eventually(t, "the second to wait", func() bool { return p.Stats().Waiting[LaneHigh] == 1 })
		cancel()
		wantError(t, <-waits, ErrCanceled, PhaseQueue, SentNo)
		close(gate)
	}()
	resp, err := p.Do(ctx, &Request{Env: testEnv(t), Finish: true})
	if err != nil {
		t.Fatal(err)
	}
	if body, err := resp.ReadAll(); err != nil || string(body) != "whole" {
		t.Errorf("got %q, %v, want the whole answer though its context has ended", body, err)
	}
	if n := s.Served(); n != 1 {
		t.Errorf("%d scripts ran, want 1", n)
	}
}

func TestAFailedRequestReportsTheEndOfItsScript(t *testing.T) {
	gate := make(chan struct{})
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		w.Stdout("X: y\r\n\r\ntoo long an answer")
		<-gate
	}, fcgitest.Options{})
	p := poolFor(t, s, Config{})
	resp, err := p.Do(t.Context(), &Request{Env: testEnv(t), MaxAnswer: 3})
	if err != nil {
		t.Fatal(err)
	}
	_, err = resp.ReadAll()
	wantError(t, err, ErrTooLarge, PhaseBody, SentYes)
	resp.Close()
	freed := Freed(err)
	if freed == nil || resp.Freed() != freed {
		t.Fatalf("got %v and %v, want a channel", freed, resp.Freed())
	}
	select {
	case <-freed:
		t.Error("the script runs still")
	default:
	}
	close(gate)
	<-freed
	if s := p.Stats(); s.Settling+s.Running != 0 {
		t.Errorf("got %+v, want all free", s)
	}
	for _, err := range []error{nil, ErrClosed, &Error{Err: ErrTimeout, freed: freed}, &Error{Err: ErrTruncated}} {
		if Freed(err) != nil {
			t.Errorf("%v: there is a script to wait for", err)
		}
	}
}

func TestCanceledCallerLeavesAtOnce(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		if string(r.Body) == "body" {
			w.Stdout("X: y\r\n\r\npart")
		}
		<-release
	}, fcgitest.Options{})
	p := poolFor(t, s, Config{})
	ctx, cancel := context.WithCancel(context.Background())
	served := func(n int) func() bool { return func() bool { return s.Served() == n } }
	go func() {
		eventually(t, "request running", served(1))
		cancel()
	}()
	_, err := p.Do(ctx, &Request{Env: testEnv(t)})
	wantError(t, err, ErrCanceled, PhaseWait, SentMaybe)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not wrap context.Canceled", err)
	}

	ctx, cancel = context.WithCancel(context.Background())
	resp, err := p.Do(ctx, &Request{Env: testEnv(t), Body: []byte("body")})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err = resp.ReadAll()
	wantError(t, err, ErrCanceled, PhaseBody, SentYes)

	_, err = p.Do(ctx, &Request{Env: testEnv(t)})
	wantError(t, err, ErrCanceled, PhaseQueue, SentNo)
	if s := p.Stats(); s.Settling != 2 {
		t.Errorf("got %+v, want two settling", s)
	}
	close(release)
	eventually(t, "all free", func() bool { s := p.Stats(); return s.Settling+s.Running == 0 })
}

func TestCloseFreesABlockedReader(t *testing.T) {
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
	read := make(chan error)
	go func() {
		_, err := resp.ReadAll()
		read <- err
	}()
	for closed := false; !closed; {
		resp.Close()
		select {
		case err := <-read:
			wantError(t, err, ErrClosed, PhaseBody, SentYes)
			closed = true
		case <-time.After(time.Millisecond):
		}
	}
	resp.Close()
	close(release)
	eventually(t, "all free", func() bool { s := p.Stats(); return s.Settling+s.Running == 0 })
}

func TestStreamArrivesAsItIsFlushed(t *testing.T) {
	next := make(chan string)
	s := serve(t, func(w *fcgitest.Writer, _ *fcgitest.Request) {
		w.Stdout("Content-Type: application/x-ndjson\r\n\r\n")
		for piece := range next {
			w.Stdout(piece)
		}
	}, fcgitest.Options{})
	p := poolFor(t, s, Config{})
	resp, err := p.Do(context.Background(), &Request{Env: testEnv(t), Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	resp.SetStream(10*time.Second, time.Minute)
	if s := p.Stats(); s.Streams != 1 {
		t.Errorf("%d streams, want 1", s.Streams)
	}
	for _, piece := range []string{"one\n", "two\n", "three\n"} {
		next <- piece
		got, err := resp.Next()
		if string(got) != piece || err != nil {
			t.Fatalf("got %q, %v; want %q", got, err, piece)
		}
	}
	close(next)
	for range 2 {
		if _, err := resp.Next(); err != io.EOF {
			t.Errorf("got %v, want io.EOF", err)
		}
	}
	if s := p.Stats(); s.Streams != 0 || s.Running != 0 || s.Idle != 1 {
		t.Errorf("got %+v", s)
	}
}

func TestAClosedStreamIsCutShort(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			left := make(chan struct{})
			s := serve(t, func(w *fcgitest.Writer, _ *fcgitest.Request) {
				w.Stdout("X: y\r\n\r\nfirst")
				<-left
			}, fcgitest.Options{Network: network})
			end := sync.OnceFunc(func() { close(left) })
			t.Cleanup(end)
			p := poolFor(t, s, Config{})
			resp, err := p.Do(context.Background(), &Request{Env: testEnv(t)})
			if err != nil {
				t.Fatal(err)
			}
			resp.SetStream(time.Minute, time.Minute)
			resp.Close()
			_, err = resp.Next()
			wantError(t, err, ErrClosed, PhaseBody, SentYes)
			if network == "unix" { // else the end cannot be seen
				end()
			}
			<-resp.Freed()
			if s := p.Stats(); s.Running+s.Settling+s.Idle+s.Streams != 0 {
				t.Errorf("got %+v, want nothing left", s)
			}
		})
	}
}

func TestStreamEndsAfterSilenceAndAfterItsTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := func(w *fcgitest.Writer, r *fcgitest.Request) {
			w.Stdout("X: y\r\n\r\n")
			for range 5 {
				time.Sleep(4 * time.Second)
				w.Stdout("tick")
			}
			time.Sleep(time.Minute)
		}
		for _, c := range []struct{ silence, total, want time.Duration }{
			{5 * time.Second, time.Hour, 25 * time.Second},
			{3 * time.Second, time.Hour, 3 * time.Second},
			{5 * time.Second, 10 * time.Second, 10 * time.Second},
		} {
			p := pipePool(t, script, fcgitest.Options{}, Config{})
			resp, err := p.Do(context.Background(), &Request{Env: testEnv(t), Timeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			resp.SetStream(c.silence, c.total)
			for err == nil {
				_, err = resp.Next()
			}
			wantError(t, err, ErrTimeout, PhaseBody, SentYes)
			if took := time.Since(start).Round(time.Second); took != c.want {
				t.Errorf("%+v: took %v", c, took)
			}
		}
		time.Sleep(2 * time.Minute) // let the scripts end
	})
}
