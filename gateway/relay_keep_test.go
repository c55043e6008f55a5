package gateway

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/session"
)

// A frame that waits is in no message's memory any more: it is counted by itself.
func TestAFrameThatWaitsIsCounted(t *testing.T) {
	h := start(t, relaying, nil)
	a := h.dial("/?prefix=c,raw,latest=1m", nil)
	a.send("c1")
	a.send("c2" + strings.Repeat("x", 1000))
	a.send("sync")
	a.want("php: sync")
	if n := h.sockets.Memory.Used(); n < 1000 {
		t.Errorf("%d bytes are counted", n)
	}
	_ = a.CloseNow()
	eventually(t, "the memory to be free", func() bool { return h.sockets.Memory.Used() == 0 })
}

// What a lane keeps bounds the memory, also of frames without data, and of an envelope that is
// larger than its payload.
func TestCopiesAreBoundedInMemory(t *testing.T) {
	for name, frames := range map[string]int{"empty": 20_000, "padded": 500} {
		t.Run(name, func(t *testing.T) {
			h := start(t, relaying, func(c *config.Config) { c.Limits.RelayPerSecond = 0 })
			a := h.dialWrapped("/?binary,prefix=c,copy=1h")
			before := heap()
			for range frames {
				if name == "empty" {
					a.sendBinary("")
				} else {
					a.send(`{"data":"c"` + strings.Repeat(" ", 60_000) + "}")
				}
			}
			a.send(`{"id":"k","data":"sync"}`)
			a.want(`{"re":"k","data":"php: sync"}`)
			if grown := heap() - before; grown > 1<<20 {
				t.Errorf("the heap grew by %d bytes", grown)
			}
			if n := h.sockets.Memory.Used(); n < 500 || n > mostCopied {
				t.Errorf("%d bytes are counted", n)
			}
			_ = a.CloseNow()
			eventually(t, "the memory to be free", func() bool { return h.sockets.Memory.Used() == 0 })
		})
	}
}

// heap is how many bytes are in use.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// mine is a bus with a bug, once it is armed.
type mine struct {
	*bus.Bus
	armed atomic.Bool
}

func (m *mine) Publish(ctx context.Context, c session.Command) error {
	if m.armed.Load() {
		panic("a bug")
	}
	return m.Bus.Publish(ctx, c)
}

func TestABugInTheLastFrameLeavesNothingBehind(t *testing.T) {
	var m *mine
	h := startOn(t, relaying, nil, func(b *bus.Bus) Bus { m = &mine{Bus: b}; return m })
	a := h.dial("/?prefix=c,raw,latest=1m", nil)
	a.send("c1")
	a.send("c2")
	a.send("sync")
	a.want("php: sync")
	m.armed.Store(true)
	_ = a.CloseNow()
	eventually(t, "the panic", func() bool { return h.Stats().Panics == 1 })
	eventually(t, "the end", func() bool { return h.Stats().Connections == 0 && h.sockets.Memory.Used() == 0 })
	eventually(t, "the disconnect event", func() bool { return len(h.seen("disconnect")) == 1 })
}
