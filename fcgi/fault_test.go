package fcgi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/test/fcgitest"
)

// raw answers with these bytes and hangs up.
func raw(b []byte) fcgitest.Handler {
	return func(w *fcgitest.Writer, _ *fcgitest.Request) {
		w.Raw(b)
		w.Hangup()
	}
}

func TestAnswerCutAtAnyByteIsAnError(t *testing.T) {
	for name, header := range map[string]string{
		"without length": "Content-Type: text/plain\r\n\r\n",
		"with length":    "Content-Type: text/plain\r\nContent-Length: 11\r\n\r\n",
	} {
		whole := fcgitest.Bytes(header + "hello world")
		cut := make(chan int, 1)
		s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
			raw(whole[:<-cut])(w, r)
		}, fcgitest.Options{})
		p := poolFor(t, s, Config{})
		for n := range len(whole) {
			cut <- n
			if _, body, err := call(p, &Request{Env: testEnv(t)}); !errors.Is(err, ErrTruncated) || body != "" {
				t.Fatalf("%s, cut at %d of %d: got %q, %v; want ErrTruncated", name, n, len(whole), body, err)
			}
		}
		cut <- len(whole)
		if _, body, err := call(p, &Request{Env: testEnv(t)}); body != "hello world" || err != nil {
			t.Errorf("%s, not cut: got %q, %v", name, body, err)
		}
	}
}

func TestErrorReportsHowFarAnAnswerCame(t *testing.T) {
	whole := string(fcgitest.Bytes("A: b\r\n\r\nhello"))
	for _, c := range []struct {
		name   string
		answer string
		err    error
		phase  Phase
		sent   Sent
	}{
		{"nothing", "", ErrTruncated, PhaseWait, SentMaybe},
		{"half a header", record(6, 1, "A: b\r\n"), ErrTruncated, PhaseWait, SentYes},
		{"no end", whole[:len(whole)-16], ErrTruncated, PhaseBody, SentYes},
		{"end within the header", record(6, 1, "A: b\r\n") + completeEnd, ErrProtocol, PhaseEnd, SentYes},
		{"no output at all", completeEnd, ErrProtocol, PhaseEnd, SentYes},
		{"no header", record(6, 1, "<b>oops</b>\r\n\r\n") + completeEnd, ErrProtocol, PhaseWait, SentYes},
		{"too few bytes", string(fcgitest.Bytes("Content-Length: 9\r\n\r\nhello")), ErrTruncated, PhaseEnd, SentYes},
		{"too many bytes", string(fcgitest.Bytes("Content-Length: 4\r\n\r\nhello")), ErrTruncated, PhaseEnd, SentYes},
		{"a length that is none", string(fcgitest.Bytes("Content-Length: five\r\n\r\nhello")), ErrTruncated, PhaseEnd, SentYes},
		{"another's output", record(6, 1, "A: b\r\n\r\n") + record(6, 2, "x") + completeEnd, ErrProtocol, PhaseBody, SentYes},
		{"status 1", record(6, 1, "A: b\r\n\r\n") + record(3, 1, "\x00\x00\x00\x00\x01\x00\x00\x00"), ErrProtocol, PhaseBody, SentYes},
		{"overloaded", record(3, 1, "\x00\x00\x00\x00\x02\x00\x00\x00"), ErrOverloaded, PhaseWait, SentMaybe},
	} {
		s := serve(t, raw([]byte(c.answer)), fcgitest.Options{})
		p := poolFor(t, s, Config{})
		_, body, err := call(p, &Request{Env: testEnv(t), ID: "r-1"})
		if body != "" {
			t.Errorf("%s: got %q", c.name, body)
		}
		t.Run(c.name, func(t *testing.T) { wantError(t, err, c.err, c.phase, c.sent) })
		eventually(t, "slot free", func() bool { return p.Stats().Running+p.Stats().Settling == 0 })
	}
}

func TestLongHeaderLinesArrive(t *testing.T) {
	for _, n := range []int{1100, 4000, 8192, 16384, 60000} {
		value := strings.Repeat("v", n)
		s := serve(t, func(w *fcgitest.Writer, _ *fcgitest.Request) {
			w.Stdout("X-Long: " + value)
			w.Stdout("\r\nX-Short: s\r\n")
			w.Stdout("\r\nbody")
		}, fcgitest.Options{})
		p := poolFor(t, s, Config{})
		resp, err := p.Do(context.Background(), &Request{Env: testEnv(t)})
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		body, err := resp.ReadAll()
		if resp.Header.Get("x-long") != value || resp.Header.Get("x-short") != "s" || string(body) != "body" || err != nil {
			t.Errorf("%d bytes: got %d, %q, %v", n, len(resp.Header.Get("x-long")), body, err)
		}
	}
}

func TestLimitsOfAnAnswer(t *testing.T) {
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		switch string(r.Body) {
		case "header":
			w.Stdout("X: " + strings.Repeat("x", 65000))
			w.Stdout(strings.Repeat("y", 1000) + "\r\n\r\n")
		case "body":
			w.Stdout("X: y\r\n\r\n" + strings.Repeat("x", 1001))
		case "stderr":
			for range 400 {
				w.Stderr(strings.Repeat("e", 1000))
			}
			w.Stdout("X: y\r\n\r\n" + strings.Repeat("x", 1000))
		}
	}, fcgitest.Options{})
	p := poolFor(t, s, Config{MaxAnswer: 1000})
	_, _, err := call(p, &Request{Env: testEnv(t), Body: []byte("header")})
	wantError(t, err, ErrTooLarge, PhaseWait, SentYes)
	_, _, err = call(p, &Request{Env: testEnv(t), Body: []byte("body")})
	wantError(t, err, ErrTooLarge, PhaseBody, SentYes)
	if _, body, err := call(p, &Request{Env: testEnv(t), Body: []byte("body"), MaxAnswer: 1001}); len(body) != 1001 || err != nil {
		t.Errorf("own limit: got %d bytes, %v", len(body), err)
	}
	resp, err := p.Do(context.Background(), &Request{Env: testEnv(t), Body: []byte("stderr")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resp.ReadAll(); err != nil {
		t.Fatal(err)
	}
	text, dropped := resp.Stderr()
	if len(text) != 16<<10 || len(text)+dropped != 400_000 {
		t.Errorf("stderr: got %d bytes, %d dropped", len(text), dropped)
	}
}

// A server that answers and ends before it has read a large request must not hang
// the caller, and its connection must not be used again.
func TestEarlyAnswerToALargeRequest(t *testing.T) {
	read := make(chan struct{})
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		if len(r.Params) > 0 {
			w.Raw(fcgitest.Bytes("Status: 413\r\n\r\ntoo much"))
			w.Hangup()
			<-read // before the reset
		}
	}, fcgitest.Options{Early: true})
	p := poolFor(t, s, Config{})
	status, body, err := call(p, &Request{Env: testEnv(t), Body: make([]byte, 8<<20)})
	close(read)
	if status != 413 || body != "too much" || err != nil {
		t.Errorf("got %d %q %v", status, body, err)
	}
	eventually(t, "slot free", func() bool { s := p.Stats(); return s.Running+s.Settling+s.Idle == 0 })
}

func TestLargeBodiesBothWays(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		s := serve(t, fcgitest.Echo, fcgitest.Options{Network: network})
		p := poolFor(t, s, Config{IdleTimeout: time.Hour})
		body := bytes.Repeat([]byte("0123456789abcdef"), 10<<16)
		_, got, err := call(p, &Request{Env: testEnv(t), Body: body})
		if got != string(body) || err != nil {
			t.Errorf("%s: got %d bytes, %v", network, len(got), err)
		}
		eventually(t, "connection kept", func() bool { return p.Stats().Idle == 1 })
	}
}

func TestNothingSentIsSentAgainOnce(t *testing.T) {
	s := serve(t, fcgitest.Echo, fcgitest.Options{})
	p := poolFor(t, s, Config{IdleTimeout: time.Hour})
	dials := 0
	p.netDial = func(ctx context.Context, cfg *Config) (net.Conn, error) {
		nc, err := netDial(ctx, cfg)
		dials++
		if dials == 2 && err == nil {
			return brokenWriter{nc}, nil
		}
		return nc, err
	}
	warm := func() (string, error) {
		_, body, err := call(p, &Request{Env: testEnv(t), Body: []byte("hi")})
		return body, err
	}
	warm()
	s.CloseConnections()
	eventually(t, "the end seen", func() bool { return p.Stats().Idle == 0 })
	if body, err := warm(); body != "hi" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
	if stats := p.Stats(); stats.Retries != 1 || dials != 3 || s.Served() != 2 {
		t.Errorf("%d retries, %d dials, %d served; want 1, 3, 2", stats.Retries, dials, s.Served())
	}
}

// brokenWriter is a connection that takes nothing.
type brokenWriter struct{ net.Conn }

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestSentIsNeverSentAgain(t *testing.T) {
	s := serve(t, func(w *fcgitest.Writer, _ *fcgitest.Request) { w.Hangup() }, fcgitest.Options{})
	p := poolFor(t, s, Config{})
	_, _, err := call(p, &Request{Env: testEnv(t)})
	wantError(t, err, ErrTruncated, PhaseWait, SentMaybe)
	if s.Served() != 1 {
		t.Errorf("the script ran %d times", s.Served())
	}
}

// Workers that are recycled after every request, and connections that the server
// closed while they were idle, make no request fail.
func TestRecycledWorkersCostNothing(t *testing.T) {
	for max := 1; max <= 3; max++ {
		s := serve(t, fcgitest.Echo, fcgitest.Options{Workers: 2, MaxRequests: max})
		p := poolFor(t, s, Config{MaxConnections: 2})
		for i := range 100 {
			want := fmt.Sprint(i)
			if _, body, err := call(p, &Request{Env: testEnv(t), Body: []byte(want)}); body != want || err != nil {
				t.Fatalf("max %d, request %d: got %q, %v", max, i, body, err)
			}
		}
	}
}

func TestServersWithoutProbe(t *testing.T) {
	for name, o := range map[string]fcgitest.Options{
		"PHP before 8.2": {CloseAfterValues: true},
		"silent":         {IgnoreValues: true},
	} {
		s := serve(t, fcgitest.Echo, o)
		p := poolFor(t, s, Config{})
		for i := range 6 {
			want := fmt.Sprint(i)
			if _, body, err := call(p, &Request{Env: testEnv(t), Body: []byte(want)}); body != want || err != nil {
				t.Fatalf("%s: got %q, %v", name, body, err)
			}
		}
		if stats := p.Stats(); stats.Probe || stats.Idle != 0 {
			t.Errorf("%s: %+v", name, stats)
		}
		if e := <-p.Events(); e.Kind != EventNoProbe {
			t.Errorf("%s: got event %v", name, e)
		}
	}
}

func TestRequestInTheBacklogSurvivesARestart(t *testing.T) {
	first := fcgitest.NewServer(fcgitest.Echo, fcgitest.Options{})
	address := filepath.Join(t.TempDir(), "sock")
	if err := os.Rename(first.Address, address); err != nil {
		t.Fatal(err)
	}
	p := newTestPool(t, Config{Address: address, IdleTimeout: -1})
	if _, _, err := call(p, &Request{Env: testEnv(t)}); err != nil { // learns of the probe
		t.Fatal(err)
	}
	first.Close()
	os.Remove(address)

	deaf, err := net.Listen("unix", address) // a master whose workers have ended
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error)
	go func() {
		_, _, err := call(p, &Request{Env: testEnv(t)})
		answered <- err
	}()
	eventually(t, "a request in the backlog", func() bool { return p.Stats().Stalls == 1 })
	deaf.Close()
	second := serve(t, fcgitest.Echo, fcgitest.Options{Address: address})
	if err := <-answered; err != nil || second.Served() != 1 {
		t.Errorf("got %v and %d requests, want the request to be sent again", err, second.Served())
	}
}

// TestLimitRisesWhileARequestWaits has one script that never ends and a limit that has
// fallen to one: no request ends that could raise it.
func TestLimitRisesWhileARequestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		p := pipePool(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
			if string(r.Body) == "long" {
				<-over
			}
			fcgitest.Echo(w, r)
		}, fcgitest.Options{}, Config{MaxConnections: 2, QueueWait: time.Minute})
		call(p, &Request{Env: testEnv(t)})
		var long sync.WaitGroup
		long.Go(func() { call(p, &Request{Env: testEnv(t), Body: []byte("long"), Timeout: time.Hour}) })
		synctest.Wait()
		p.mu.Lock()
		p.limit.lower(p.limit.now-1, time.Now())
		p.mu.Unlock()
		start := time.Now()
		if _, body, err := call(p, &Request{Env: testEnv(t), Body: []byte("x")}); body != "x" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
		if took := time.Since(start); took < raiseAfter || took > raiseAfter+2*sweepEvery {
			t.Errorf("waited %v, want %v", took, raiseAfter)
		}
		close(over)
		long.Wait()
	})
}
