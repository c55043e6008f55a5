package gateway

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"wsfpm/gateway/config"
	"wsfpm/test/fcgitest"
)

// moveTo is a reload after which only a pool of that name is left, which all
// routes use.
func (h *harness) moveTo(name string) {
	h.t.Helper()
	h.reloaded(func(c *config.Config) {
		f := *h.settings.Load().FPM[c.Routes[0].FPM]
		f.Name = name
		c.FPM = map[string]*config.FPM{name: &f}
		c.Routes[0].FPM = name
	})
}

// pools are the names of those that the metrics show.
func (h *harness) poolNames() string {
	var names []string
	for name := range h.Stats().Pools {
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func TestReloadsLetPoolsGo(t *testing.T) {
	t.Log("contract-row: 5.reload-pools")
	h := start(t, echo, nil)
	p := h.dial("/", nil)
	p.send("one")
	p.want("one")
	before := runtime.NumGoroutine()
	for i := range 100 {
		h.moveTo(fmt.Sprint("blue", i))
	}
	if got := h.poolNames(); got != "blue99" {
		t.Errorf("pools %q, want the last one only", got)
	}
	p.send("two") // the connection follows its route
	p.want("two")
	eventually(t, "the goroutines of the other pools to end", func() bool { return runtime.NumGoroutine() < before+20 })
}

func TestAPoolGoesOnForTheConnectionsOfItsRoutes(t *testing.T) {
	t.Log("contract-row: 5.reload-pools")
	h := start(t, echo, nil)
	p := h.dial("/", nil)
	h.reloaded(func(c *config.Config) {
		f := *c.FPM["default"]
		c.FPM = map[string]*config.FPM{"next": &f}
		c.Routes[0].FPM, c.Routes[0].Path = "next", "/moved"
	})
	p.send("still there")
	p.want("still there")
	h.letGo()
	if got := len(h.Stats().Pools); got != 2 {
		t.Errorf("%d pools, want the old one too while a connection uses it", got)
	}
	p.CloseNow()
	eventually(t, "the disconnect event", func() bool { return len(h.seen("disconnect")) == 1 })
	eventually(t, "the old pool to go", func() bool { return h.poolNames() == "next" })
}

func TestAReloadCutsNoRunningEvent(t *testing.T) {
	t.Log("contract-row: 5.reload-pools")
	begun, hold := make(chan struct{}), make(chan struct{})
	h := start(t, func(p map[string]string, body string) (string, string) {
		if body == "held" {
			close(begun)
			<-hold
		}
		return echo(p, body)
	}, nil)
	p := h.dial("/", nil)
	p.send("held")
	<-begun
	h.moveTo("next")
	if got := len(h.Stats().Pools); got != 2 {
		t.Errorf("%d pools, want the old one too while its script runs", got)
	}
	close(hold)
	p.want("held")
	eventually(t, "the old pool to go", func() bool { return h.poolNames() == "next" })
}

// Drain cuts short the events of the remaining pools only.
func TestASpareGoesOnForAnEventThatMayComeToIt(t *testing.T) {
	t.Log("contract-row: 5.reload-pools")
	begun, hold := make(chan string), make(chan struct{})
	local := fcgitest.NewServer(func(w *fcgitest.Writer, r *fcgitest.Request) {
		begun <- "local"
		<-hold
		fcgitest.Echo(w, r)
	}, fcgitest.Options{Workers: 4})
	t.Cleanup(local.Close)
	h := start(t, func(p map[string]string, body string) (string, string) {
		begun <- "default"
		<-hold
		return echo(p, body)
	}, func(c *config.Config) {
		withLocal(local.Network, local.Address)(c)
		c.FPM["local"].MaxConnections, c.FPM["local"].QueueWait = 1, config.Duration(time.Second)
		c.Routes[0].Events, c.Routes[0].Public = []string{config.EventMessage}, true
	})
	first, second := h.dial("/", nil), h.dial("/", nil)
	first.send("first")
	<-begun
	second.send("second")
	eventually(t, "the second to wait", func() bool { return h.Stats().Pools["local"].Waiting[0] > 0 })
	h.reloaded(func(c *config.Config) {
		c.FPM = map[string]*config.FPM{"local": c.FPM["local"]}
		c.Routes[0].Spares = nil
	})
	if on := <-begun; on != "default" {
		t.Errorf("the second runs on %s, want its list's spare", on)
	}
	h.letGo()
	if got := len(h.Stats().Pools); got != 2 {
		t.Errorf("%d pools, want the spare too while an event runs in it", got)
	}
	close(hold)
	second.want("second")
	eventually(t, "the spare to go", func() bool { return h.poolNames() == "local" })
}
