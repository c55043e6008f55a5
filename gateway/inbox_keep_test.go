package gateway

import (
	"runtime"
	"sync/atomic"
	"testing"
	"weak"

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
