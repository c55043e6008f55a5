package fcgi

import (
	"context"
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"wsfpm/test/fcgitest"
)

func TestARequestIsDecidedOnRightBeforeItIsSent(t *testing.T) {
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) { fcgitest.Reply(200, r.Params["LAST"])(w, r) }, fcgitest.Options{Workers: 1})
	p := poolFor(t, s, Config{MaxConnections: 1, MaxIdle: 1})
	last := func(context.Context) ([]Var, error) { return []Var{{Name: "LAST", Value: "yes"}}, nil }
	no := errors.New("not any more")
	refuse := func(context.Context) ([]Var, error) { return nil, no }
	for range 3 {
		_, got, err := call(p, &Request{Env: testEnv(t), Vars: []Var{{Name: "LAST", Value: "no"}}, Before: last})
		if got != "yes" || err != nil {
			t.Fatalf("got %q, %v, want the parameters of Before", got, err)
		}
		_, _, err = call(p, &Request{Env: testEnv(t), Before: refuse})
		var e *Error
		if !errors.As(err, &e) || e.Sent != SentNo || !errors.Is(err, no) {
			t.Fatalf("got %v, want the error of Before, unsent", err)
		}
	}
	if n := s.Served(); n != 3 {
		t.Errorf("%d requests arrived, want 3", n)
	}
	if f := p.Stats().Failures; len(f) != 0 {
		t.Errorf("failures %v are counted, want none", f)
	}
}

// What was decided on before the first try may have changed until the second one.
func TestARequestIsDecidedOnAgainBeforeItIsSentAgain(t *testing.T) {
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) { fcgitest.Reply(200, r.Params["TRY"])(w, r) }, fcgitest.Options{})
	p := poolFor(t, s, Config{IdleTimeout: time.Hour})
	dials := 0
	p.netDial = func(ctx context.Context, cfg *Config) (net.Conn, error) {
		nc, err := netDial(ctx, cfg)
		if dials++; dials == 2 && err == nil {
			return brokenWriter{nc}, nil
		}
		return nc, err
	}
	if _, _, err := call(p, &Request{Env: testEnv(t)}); err != nil {
		t.Fatal(err)
	}
	s.CloseConnections()
	eventually(t, "the end seen", func() bool { return p.Stats().Idle == 0 })
	tries := 0
	decide := func(context.Context) ([]Var, error) {
		tries++
		return []Var{{Name: "TRY", Value: strconv.Itoa(tries)}}, nil
	}
	if _, got, err := call(p, &Request{Env: testEnv(t), Before: decide}); got != "2" || err != nil {
		t.Errorf("got %q, %v, want the parameters of the second try", got, err)
	}
}

func TestAPanicOfBeforeTakesNoSlotAway(t *testing.T) {
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) { fcgitest.Reply(200, "yes")(w, r) }, fcgitest.Options{})
	p := poolFor(t, s, Config{MaxConnections: 1})
	func() {
		defer func() {
			if v := recover(); v != "a bug" {
				t.Errorf("got %v, want the panic", v)
			}
		}()
		_, _, _ = call(p, &Request{Env: testEnv(t), Before: func(context.Context) ([]Var, error) { panic("a bug") }})
	}()
	if n := p.Stats().Running; n != 0 {
		t.Errorf("%d slots are taken, want none", n)
	}
	if _, got, err := call(p, &Request{Env: testEnv(t)}); got != "yes" || err != nil {
		t.Errorf("got %q, %v, want an answer", got, err)
	}
}
