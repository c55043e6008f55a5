package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"wsfpm/gateway/config"
	"wsfpm/gateway/durable"
	"wsfpm/gateway/once"
	"wsfpm/session"
)

// observedLog is a log that calls a function before it stores entries.
type observedLog struct {
	*durable.Log
	before func() error
}

func (l *observedLog) Append(ctx context.Context, commands []session.Command) ([]session.Position, error) {
	if err := l.before(); err != nil {
		return nil, err
	}
	return l.Log.Append(ctx, commands)
}

// After a crash between the two a repetition is a second attempt, rather than an answer
// whose entries are missing.
func TestEntriesAreStoredBeforeTheAnswerIsKept(t *testing.T) {
	store, _ := onceStore(t)
	var seen []string
	fails := errors.New("not stored")
	l := &observedLog{durable.New(durable.Config{}), func() error {
		value, _, err := store.Look(t.Context(), "ws:once:2:42:k7")
		word, _, _ := strings.Cut(value, ":")
		seen = append(seen, word)
		if err == nil && len(seen) == 1 {
			err = fails
		}
		return err
	}}
	t.Cleanup(l.Close)
	h := startMore(t, func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] == "connect" {
			return "WS-User: 42", ""
		}
		return "WS-Publish: channel:room; durable", "attempt " + params["WS_ATTEMPT"]
	}, func(c *config.Config) { c.Routes[0].Once = config.Duration(2 * time.Minute) }, func(o *Options) { o.Once, o.Log = store, l })
	p := h.dialOnce()
	for _, want := range []string{`{"re":"k7","error":"unknown"}`, `{"re":"k7"}`, `{"re":"k7"}`} {
		p.send(`{"id":"k7","data":"pay"}`)
		p.want(want)
	}
	if got := fmt.Sprint(seen); got != "[run run]" {
		t.Errorf("the message was in the states %s when its entries were stored", got)
	}
	if got := fmt.Sprint(h.attempts()); got != "[k7 1 k7 2]" {
		t.Errorf("PHP ran as attempts %s", got)
	}
}

func TestADrainDoesNotWaitForARunElsewhere(t *testing.T) {
	store, _ := onceStore(t)
	finish := make(chan struct{})
	defer close(finish)
	slow := func(params map[string]string, _ string) (string, string) {
		if params["WS_EVENT"] == "message" {
			<-finish
		}
		return html, "paid"
	}
	a, b := startOnce(t, store, slow, nil), startOnce(t, store, slow, nil)
	p, q := a.dialOnce(), b.dialOnce()
	p.send(`{"id":"k7","data":"pay"}`)
	eventually(t, "the first to run", func() bool { return len(a.seen("message")) == 1 })
	q.send(`{"id":"k7","data":"pay"}`)
	eventually(t, "a wait", func() bool { return waitsIn("(*waiting).sleep") })
	drained := make(chan int)
	go func() { drained <- b.Drain(within(t, patience)) }()
	q.want(`{"re":"k7","error":"busy"}`)
	q.wantClose(1012)
	if n := <-drained; n > 0 {
		t.Errorf("gave up %d connections", n)
	}
}

// The hello has promised it, for as long as it says.
func TestAReloadDoesNotEndThePromiseOfAHello(t *testing.T) {
	store, _ := onceStore(t)
	h := startOnce(t, store, echo, nil)
	p := h.dialOnce()
	cfg := *h.settings.Load().Config
	rt := *cfg.Routes[0]
	rt.Once = 0
	cfg.Routes = []*config.Route{&rt}
	if _, err := h.Reload(&cfg); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p.send(`{"id":"k7","data":"pay"}`)
		p.want(`{"re":"k7","data":"pay"}`)
	}
	if got := fmt.Sprint(h.attempts()); got != "[k7 1]" {
		t.Errorf("PHP ran as attempts %s", got)
	}
	h.dialWrapped("/") // whose hello promises nothing
}

// Without the beats, which begin with the process, other nodes do not learn of a death.
func TestTheFirstOnceNeedsARestart(t *testing.T) {
	store, _ := onceStore(t)
	h := startOnce(t, store, echo, func(c *config.Config) { c.Routes[0].Once = 0 })
	cfg := *h.settings.Load().Config
	rt := *cfg.Routes[0]
	rt.Once = config.Duration(2 * time.Minute)
	cfg.Routes = []*config.Route{&rt}
	keys, err := h.Reload(&cfg)
	if err != nil || fmt.Sprint(keys) != "[route.once]" {
		t.Errorf("got %v, %v, want route.once", keys, err)
	}
}

// Its process may have been stopped while the message waited for a worker.
func TestAMessageThatWasTakenOverIsNotSent(t *testing.T) {
	store, _ := onceStore(t)
	finish := make(chan struct{})
	h := startOnce(t, store, func(params map[string]string, body string) (string, string) {
		if body == "slow" {
			<-finish
		}
		return html, body
	}, func(c *config.Config) { c.FPM["default"].MaxConnections = 1 })
	h.guard = once.New(once.Config{Store: store, Nodes: nodes{h.Gateway}, Patience: patience, Fresh: 1}) // no client is there yet
	p, q := h.dialOnce(), h.dialOnce()
	p.send(`{"data":"slow"}`)
	eventually(t, "the worker to be busy", func() bool { return len(h.seen("message")) == 1 })
	const key = "ws:once:2:42:k7"
	q.send(`{"id":"k7","data":"pay"}`)
	token := ""
	eventually(t, "the wait for a worker", func() bool {
		token, _, _ = store.Look(t.Context(), key)
		return token != "" && h.Stats().Pools["default"].Waiting[0] == 1
	})
	hash := strings.Split(token, ":")[1]
	if found, err := store.Replace(t.Context(), key, token, "kept:"+hash+":t4:paid", time.Minute); found != "" || err != nil {
		t.Fatal(found, err)
	}
	close(finish)
	p.want(`{"data":"slow"}`)
	q.want(`{"re":"k7","error":"busy"}`)
	q.send(`{"id":"k7","data":"pay"}`)
	q.want(`{"re":"k7","data":"paid"}`)
	q.send(`{"id":"k8","data":"pay"}`)
	q.want(`{"re":"k8","data":"pay"}`)
	if got := fmt.Sprint(h.attempts()); got != "[  k8 1]" {
		t.Errorf("PHP ran as attempts %s", got)
	}
}
