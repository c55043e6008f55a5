package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
	"wsfpm/test/fcgitest"
)

// withLocal gives a configuration a first pool at an address; the pool "default",
// which serves, becomes its spare.
func withLocal(network, address string) func(*config.Config) {
	return func(c *config.Config) {
		local := *c.FPM["default"]
		local.Name, local.Network, local.Addr = "local", network, address
		c.FPM["local"] = &local
		c.Routes[0].FPM, c.Routes[0].Spares = "local", []string{"default"}
	}
}

// nowhere is withLocal for a pool that is down.
func nowhere(c *config.Config) { withLocal("unix", "/nowhere/fpm.sock")(c) }

func TestEventsGoToTheSpareWhenNothingWasSent(t *testing.T) {
	t.Log("contract-row: 2.failover")
	t.Log("contract-row: 2.failover-seen")
	h := start(t, echo, nowhere)
	p := h.dial("/", nil)
	for i := range 20 {
		p.send(fmt.Sprint(i))
		p.want(fmt.Sprint(i))
	}
	p.CloseNow()
	eventually(t, "the disconnect event", func() bool { return len(h.seen("disconnect")) == 1 })
	if got := h.Stats().Failovers; got["local"] != 22 || got["default"] != 0 {
		t.Errorf("failovers %v, want 22 of local", got)
	}
	if got := len(h.seen("message")); got != 20 {
		t.Errorf("%d messages ran, want 20", got)
	}
	if got := h.log.FilterMessage("events go to a spare pool").Len(); got != 1 {
		t.Errorf("logged %d times, want once", got)
	}
}

func TestAnOverloadedPoolPassesEventsOn(t *testing.T) {
	t.Log("contract-row: 2.failover")
	t.Log("contract-row: 2.failover-wait")
	t.Log("contract-row: 2.failover-none")
	begun, hold := make(chan struct{}), make(chan struct{})
	held := func(body string) {
		if body == "held" {
			begun <- struct{}{}
			<-hold
		}
	}
	local := fcgitest.NewServer(func(w *fcgitest.Writer, r *fcgitest.Request) {
		held(string(r.Body))
		fcgitest.Echo(w, r)
	}, fcgitest.Options{Workers: 4})
	t.Cleanup(local.Close)
	h := start(t, func(p map[string]string, body string) (string, string) { held(body); return echo(p, body) }, func(c *config.Config) {
		withLocal(local.Network, local.Address)(c)
		for _, f := range c.FPM {
			f.MaxConnections, f.QueueWait = 1, config.Duration(20*time.Millisecond)
		}
		c.Routes[0].Events, c.Routes[0].Public = []string{config.EventMessage}, true
		c.Routes[0].OnError = config.OnErrorClose
	})
	t.Cleanup(func() { close(hold) })
	first, second, third := h.dial("/", nil), h.dial("/", nil), h.dial("/", nil)
	first.send("held")
	<-begun
	second.send("goes on")
	second.want("goes on")
	if got := len(h.seen("message")); got != 1 {
		t.Errorf("%d messages ran on the spare, want 1", got)
	}
	second.send("held")
	<-begun
	third.send("waits for both")
	third.wantClose(1013)
}

func TestAnEventThatWasSentGoesNoFurther(t *testing.T) {
	t.Log("contract-row: 2.failover-sent")
	var ran atomic.Int32
	hold := make(chan struct{})
	for name, handler := range map[string]fcgitest.Handler{
		"hangs": func(w *fcgitest.Writer, r *fcgitest.Request) {
			ran.Add(1)
			<-hold
		},
		"dies":  func(w *fcgitest.Writer, r *fcgitest.Request) { ran.Add(1); w.Hangup() },
		"fails": func(w *fcgitest.Writer, r *fcgitest.Request) { ran.Add(1); fcgitest.Reply(500, "no")(w, r) },
	} {
		t.Run(name, func(t *testing.T) {
			ran.Store(0)
			local := fcgitest.NewServer(handler, fcgitest.Options{Workers: 4})
			t.Cleanup(local.Close)
			h := start(t, echo, func(c *config.Config) {
				withLocal(local.Network, local.Address)(c)
				c.Routes[0].Events, c.Routes[0].Public = []string{config.EventMessage}, true
				c.Routes[0].OnError = config.OnErrorClose
			})
			if name == "hangs" {
				t.Cleanup(func() { close(hold) })
				h.timesOut(100 * time.Millisecond)
			} else {
				h.closesFor("once")
			}
			eventually(t, "the script to run", func() bool { return ran.Load() > 0 })
			if spare := len(h.seen("message")); ran.Load() != 1 || spare != 0 || h.Stats().Failovers["local"] != 0 {
				t.Errorf("ran %d times, and %d on the spare, want once", ran.Load(), spare)
			}
		})
	}
}

// closesFor sends a message that fails.
func (h *harness) closesFor(text string) {
	h.t.Helper()
	p := h.dial("/", nil)
	p.send(text)
	p.wantClose(1011)
}

// timesOut sends a message whose script takes longer than the route's timeout. A busy machine may
// need that time to send it, and then gets more.
func (h *harness) timesOut(timeout time.Duration) {
	h.t.Helper()
	for failed := 0; ; timeout *= 4 {
		h.reloaded(func(c *config.Config) { c.Routes[0].Timeout = config.Duration(timeout) })
		h.closesFor("once")
		lines := h.log.FilterMessage("event failed").All()
		if len(lines) != failed+1 {
			h.t.Fatalf("%d events have failed", len(lines)-failed)
		}
		if err := lines[failed].ContextMap()["error"]; !strings.Contains(fmt.Sprint(err), "the script did not run") {
			return
		}
		failed++
	}
}

func TestWhenNoPoolTakesAnEvent(t *testing.T) {
	t.Log("contract-row: 2.failover-none")
	h := start(t, echo, func(c *config.Config) {
		nowhere(c)
		c.FPM["default"].Network, c.FPM["default"].Addr = "unix", "/nowhere/too.sock"
	})
	_, answer, err := websocket.Dial(t.Context(), h.url, nil)
	if err == nil || answer.StatusCode != 502 {
		t.Fatalf("got %v, %v, want 502", answer, err)
	}
	entry := h.log.FilterMessage("event failed").All()
	if text := fmt.Sprint(entry[0].ContextMap()["error"]); !strings.Contains(text, "pool local: ") || !strings.Contains(text, "; pool default: ") {
		t.Errorf("logged %q, want both pools' errors", text)
	}
}

// The events of a route without a spare wait for its pool. They are not in the
// way of those that have one.
func TestDisconnectEventsGoToTheSpare(t *testing.T) {
	t.Log("contract-row: 2.failover-disconnect")
	t.Log("contract-row: 5.reload-spares")
	h := start(t, echo, func(c *config.Config) {
		nowhere(c)
		c.Routes[0].Events, c.Routes[0].Public = []string{config.EventDisconnect}, true
		alone := *c.Routes[0]
		alone.Path, alone.Spares = "/alone", nil
		c.Routes = append(c.Routes, &alone)
		c.FPM["local"].MaxConnections, c.FPM["default"].MaxConnections = 1, 1 // one event of a queue at a time
		c.DisconnectRetry = config.Duration(patience)
	})
	h.dial("/alone", nil).CloseNow()
	eventually(t, "an event to wait", func() bool { return h.Stats().Disconnects["local"] == 1 && h.Stats().Connections == 0 })
	h.dial("/other", nil).CloseNow()
	eventually(t, "the event of the other", func() bool { return len(h.seen("disconnect")) == 1 })
	eventually(t, "one event to wait", func() bool { return h.Stats().Disconnects["local"] == 1 })
	h.reloaded(func(c *config.Config) { c.Routes[1].Spares = []string{"default"} })
	eventually(t, "the first to have a spare too", func() bool { return len(h.seen("disconnect")) == 2 })
}

func TestTheFirstPoolIsUsedAgain(t *testing.T) {
	t.Log("contract-row: 2.failover-back")
	dir, err := os.MkdirTemp("", "fpm") // shorter than t.TempDir, as a socket's path must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "sock")
	h := start(t, echo, withLocal("unix", socket))
	p := h.dial("/", nil)
	local := fcgitest.NewServer(fcgitest.Reply(200, "local"), fcgitest.Options{Address: socket})
	t.Cleanup(local.Close)
	eventually(t, "an answer of the first pool", func() bool {
		p.send("who?")
		_, got, err := p.Read(t.Context())
		return err == nil && string(got) == "local"
	})
}

func TestAPoolAtItsLimitsIsLoggedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p passed
		if p.took() {
			t.Error("back without having passed an event on")
		}
		first := 0
		for range 1000 { // it passes on one event a second, and takes others
			if p.passedOn() {
				first++
			}
			time.Sleep(time.Second / 2)
			if p.took() {
				t.Error("back while it passes events on")
			}
			time.Sleep(time.Second / 2)
		}
		if first != 1 {
			t.Errorf("said %d times that it passes events on, want once", first)
		}
		time.Sleep(passedQuiet)
		if !p.took() || p.took() || !p.passedOn() {
			t.Error("want it to be back once, and then to pass events on anew")
		}
	})
}

func TestAPoolIsBackByAClockThatIsNotSet(t *testing.T) {
	var p passed
	p.passedOn()
	if at := *p.last.Load(); at == at.Round(0) {
		t.Errorf("%v is of the wall clock only", at)
	}
}
