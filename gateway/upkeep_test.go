package gateway

import (
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
)

func TestConnectionsEndAfterTheirLifetime(t *testing.T) {
	const lifetime = 300 * time.Millisecond
	h := start(t, echo, func(c *config.Config) { c.Limits.MessagesPerSecond = 0 })
	before := h.dial("/", nil)
	h.reloaded(func(c *config.Config) { c.Limits.Lifetime = config.Duration(lifetime) })
	began := time.Now()
	p := h.dial("/", nil)
	before.wantClose(1012)
	p.wantClose(1012)
	if took := time.Since(began); took < lifetime*9/10 {
		t.Errorf("closed after %v, want %v give or take a tenth", took, lifetime)
	}
	eventually(t, "disconnects", func() bool { return len(h.seen("disconnect")) == 2 })
	if code := h.seen("disconnect")[1]["WS_CLOSE_CODE"]; code != "1012" {
		t.Errorf("disconnect: got %s, want 1012", code)
	}
}

func TestAnExpiredConnectionGetsItsAnswer(t *testing.T) {
	gate := make(chan struct{})
	h := start(t, func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] == "message" {
			<-gate
		}
		return "Content-Type: text/plain", body
	}, func(c *config.Config) { c.Limits.Lifetime = config.Duration(50 * time.Millisecond) })
	p := h.dial("/", nil)
	p.send("slow")
	eventually(t, "the end of the lifetime", h.expired)
	close(gate)
	p.want("slow")
	p.wantClose(1012)
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	const idle = 300 * time.Millisecond
	gate := make(chan struct{})
	h := start(t, func(params map[string]string, body string) (string, string) {
		if body == "slow" {
			<-gate
		}
		return "Content-Type: text/plain", body
	}, func(c *config.Config) {
		c.Limits.MessagesPerSecond, c.Limits.Idle = 0, config.Duration(idle)
		c.Limits.PingInterval = config.Duration(100 * time.Millisecond) // pings are no messages
	})
	silent, waiting := h.dial("/silent", nil), h.dial("/", nil)
	waiting.send("slow")
	silent.CloseRead(t.Context()) // answers pings
	var talking *peer
	eventually(t, "a client that talks", func() bool { talking = h.talks(idle); return talking != nil })
	var ends []map[string]string
	eventually(t, "the silent one's end", func() bool {
		ends = slices.DeleteFunc(h.seen("disconnect"), func(e map[string]string) bool { return e["REQUEST_URI"] != "/silent" })
		return len(ends) == 1
	})
	if code := ends[0]["WS_CLOSE_CODE"]; code != "1001" {
		t.Errorf("disconnect: got %s, want 1001", code)
	}
	close(gate)
	waiting.want("slow")
	waiting.wantClose(1001)
	talking.wantClose(1001)
}

// talks returns a client that has said something again and again for twice as long as a client
// may be idle, or nil: it was closed, and a busy machine had kept it silent for that long.
func (h *harness) talks(idle time.Duration) *peer {
	began := time.Now()
	said := began
	for p := h.dial("/", nil); ; {
		before := said
		said = time.Now()
		err := p.Write(h.t.Context(), websocket.MessageText, []byte("still here"))
		if err == nil {
			_, _, err = p.Read(h.t.Context())
		}
		switch silence := time.Since(before); {
		case err != nil && silence < idle:
			h.t.Fatalf("a client that was silent for %v at most: %v", silence, err)
		case err != nil:
			return nil
		case time.Since(began) > 2*idle:
			return p
		}
	}
}

func TestAWaveOfConnectionsIsOverWhenFewCome(t *testing.T) {
	var w wave
	for i, step := range []struct {
		opened int64
		over   bool
	}{
		{opened: 0}, {opened: 900}, {opened: 900}, // too few to matter
		{opened: 5000}, {opened: 9000}, {opened: 9100, over: true}, {opened: 9100},
		{opened: 9500}, {opened: 9900}, {opened: 10_200}, {opened: 10_210, over: true},
	} {
		if got := w.over(step.opened); got != step.over {
			t.Errorf("step %d, %d opened: got %v, want %v", i, step.opened, got, step.over)
		}
	}
}

// expired reports whether the only connection is to end, see connection.expire.
func (h *harness) expired() bool {
	for _, c := range h.connections() {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.expired
	}
	return false
}

// What few clients have must cost the idle ones nothing: the next larger size that Go
// allocates is 416 bytes.
func TestAConnectionFitsItsSizeClass(t *testing.T) {
	if size := unsafe.Sizeof(connection{}); size > 384 {
		t.Errorf("a connection has %d bytes, more than 384", size)
	}
}
