package gateway

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/gateway/ws"
	"wsfpm/session"
)

type panicBus struct{ Bus }

func (panicBus) Publish(context.Context, session.Command) error { panic("bug") }

func TestPanicGivesMemoryBack(t *testing.T) {
	h := startOn(t, func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] == "message" {
			return "WS-Publish: all", "x"
		}
		return "Status: 204", ""
	}, nil, func(b *bus.Bus) Bus { return panicBus{b} })
	p := h.dial("/", nil)
	p.send(strings.Repeat("x", 10000))
	p.wantClose(1011)
	eventually(t, "limits.inbound_memory to be given back", func() bool { return h.sockets.Memory.Used() == 0 })
}

func TestABugEndsOneConnectionOnly(t *testing.T) {
	h := startOn(t, func(_ map[string]string, body string) (string, string) {
		if body == "trap" {
			return "WS-Publish: all", body
		}
		return "Content-Type: text/plain", body
	}, nil, func(b *bus.Bus) Bus { return trap{b} })
	unlucky, other := h.dial("/", nil), h.dial("/", nil)
	unlucky.send("trap")
	unlucky.wantClose(1011)
	other.send("x")
	other.want("x")
	eventually(t, "the unlucky one has left", func() bool { return len(h.seen("disconnect")) == 1 })
	if got := h.Stats(); got.Panics != 1 || got.Connections != 1 || got.Closes[1011] != 1 {
		t.Errorf("got %d panics, %d connections, closes %v", got.Panics, got.Connections, got.Closes)
	}
}

// The client has its 101 when its connect event is shown.
func TestABugAfterTheUpgradeClosesTheSocket(t *testing.T) {
	h := start(t, echo, func(c *config.Config) { c.Limits.PingInterval = 0 })
	defer h.Observe(func(e *Event) {
		if e.Kind == "connect" {
			panic("a bug")
		}
	})()
	p := h.dial("/", nil)
	if _, _, err := p.Read(within(t, patience)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end", err)
	}
	eventually(t, "the disconnect event", func() bool { return len(h.seen("disconnect")) == 1 && h.Stats().Connections == 0 })
}

// trap is a bus with a bug.
type trap struct{ *bus.Bus }

func (trap) Publish(context.Context, session.Command) error { panic("a bug") }

func TestBurstWaitsAndIsNotDropped(t *testing.T) {
	h := start(t, echo, func(c *config.Config) { c.Limits.MessagesPerSecond, c.Limits.Burst, c.Limits.Backlog = 200, 5, 4 })
	p := h.dial("/", nil)
	go func() {
		for i := range 60 {
			p.send(strconv.Itoa(i))
		}
	}()
	for i := range 60 {
		p.want(strconv.Itoa(i))
	}
	if h.Stats().Throttled == 0 {
		t.Error("nothing waited")
	}
}

// sentTwo is a client that has sent "1" and "2". The script ends the first when gate
// is closed.
func sentTwo(t *testing.T) (h *harness, p *peer, gate chan struct{}) {
	t.Helper()
	gate = make(chan struct{})
	h = start(t, func(params map[string]string, body string) (string, string) {
		if body == "1" {
			<-gate
		}
		return "Content-Type: text/plain", ""
	}, nil)
	p = h.dial("/", nil)
	p.send("1")
	p.send("2")
	return h, p, gate
}

func TestMessagesBeforeACloseAreHandled(t *testing.T) {
	h, p, gate := sentTwo(t)
	go func() { _ = p.Conn.Close(1000, "") }()
	eventually(t, "the client is out of the hub", func() bool { return h.hub.Len() == 0 })
	close(gate)
	eventually(t, "disconnect", func() bool { return len(h.seen("disconnect")) == 1 })
	if got := len(h.seen("message")); got != 2 {
		t.Errorf("%d messages handled, want 2", got)
	}
}

func TestMessagesOfABrokenConnectionAreDropped(t *testing.T) {
	h, p, gate := sentTwo(t)
	eventually(t, "1 runs", func() bool { return len(h.seen("message")) == 1 })
	_ = p.CloseNow()
	eventually(t, "the end is noticed", func() bool { return h.hub.Len() == 0 })
	close(gate)
	eventually(t, "disconnect", func() bool { return len(h.seen("disconnect")) == 1 })
	if got, dropped := len(h.seen("message")), h.Stats().Dropped; got != 1 || dropped != 1 {
		t.Errorf("%d messages handled and %d dropped, want 1 and 1", got, dropped)
	}
	if got := h.seen("disconnect")[0]["WS_CLOSE_CODE"]; got != "1006" {
		t.Errorf("close code %s, want 1006", got)
	}
}

// The timer of a lane may put its mark in when the handler has found no message any more.
func TestWhatComesAtTheLastMomentIsHandedOffToo(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	var h *harness
	h = start(t, func(params map[string]string, body string) (string, string) {
		switch body {
		case "first":
			h.handoff.mu.Lock() // stops the handler between its last look and its end
		case "late":
			close(began)
			<-release
		}
		return echo(params, body)
	}, nil)
	p := h.dial("/", nil)
	p.send("first")
	p.want("first")
	eventually(t, "the handler at its end", func() bool { return waitsIn("(*handoff).remove") })
	c := h.clients()[0]
	handedOff := c.watched.handedOff // by a slow machine
	c.received(ws.Message{Data: []byte("late")})
	h.handoff.mu.Unlock()
	<-began
	defer close(release)
	if !handedOff {
		eventually(t, "another reader", func() bool {
			h.handoff.mu.Lock()
			defer h.handoff.mu.Unlock()
			return c.watched.handedOff
		})
	}
}
