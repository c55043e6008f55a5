package gateway

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"weak"

	"wsfpm/gateway/config"
	"wsfpm/gateway/ws"
)

func TestInboxKeepsNoMessageThatWasTaken(t *testing.T) {
	var b inbox
	var left []weak.Pointer[byte]
	for round := range 3 {
		for range round + 1 {
			data := make([]byte, 64<<10)
			left = append(left, weak.Make(&data[0]))
			b.put(ws.Message{Data: data}, 32, 1<<20, new(atomic.Int64))
		}
		for _, found := b.take(); found; _, found = b.take() {
		}
		b.rest()
	}
	runtime.GC()
	runtime.GC()
	for i, p := range left {
		if p.Value() != nil {
			t.Errorf("message %d is still in memory", i)
		}
	}
	runtime.KeepAlive(&b)
}

func TestInboxKeepsNoMessageThatWasDropped(t *testing.T) {
	var b inbox
	data := make([]byte, 64<<10)
	left := weak.Make(&data[0])
	b.put(ws.Message{Data: data}, 32, 1<<20, new(atomic.Int64))
	if dropped := b.close(true); len(dropped) != 1 || len(dropped[0].Data) != len(data) {
		t.Errorf("%d messages were dropped", len(dropped))
	}
	runtime.GC()
	runtime.GC()
	if left.Value() != nil {
		t.Error("the message is still in memory")
	}
	runtime.KeepAlive(&b)
}

// Proof of scale: clients that have been answered hold none of inbound_memory,
// and no message.
func TestAnsweredClientsHoldNoMessages(t *testing.T) {
	const clients, size = 40, 1 << 20
	first := make(chan struct{}) // a client's first message is handled when the others wait
	h := start(t, func(p map[string]string, body string) (string, string) {
		if p["WS_EVENT"] == "message" && p["WS_SEQ"] == "1" {
			<-first
		}
		if p["WS_EVENT"] == "message" {
			return "X: y", p["WS_SEQ"]
		}
		return "X: y", ""
	}, func(c *config.Config) {
		c.Limits.InboundMemory = 8 << 20
		c.Limits.BacklogBytes = 8 << 20
		c.Routes[0].MessageLimit = size
	})
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc >> 10
	}
	var peers []*peer
	before := heap()
	for range clients {
		p := h.dial("/", nil)
		peers = append(peers, p)
		p.send("a")
		p.send(strings.Repeat("x", size))
		p.send("c")
		eventually(t, "messages that wait", func() bool { return h.Stats().InboundBytes > size })
		first <- struct{}{}
		for _, n := range []string{"1", "2", "3"} {
			p.want(n)
		}
	}
	h.mu.Lock()
	h.events = nil
	h.mu.Unlock()
	eventually(t, "memory released", func() bool { return h.Stats().InboundBytes == 0 })
	after := heap()
	t.Logf("heap %d KiB before, %d KiB after, inbound_bytes %d", before, after, h.Stats().InboundBytes)
	if grown := int64(after) - int64(before); grown > clients*size>>11 {
		t.Errorf("%d idle clients hold %d KiB", clients, grown)
	}
	runtime.KeepAlive(peers)
}
