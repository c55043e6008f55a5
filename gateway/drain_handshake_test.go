package gateway

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/session"
)

func TestHandshakeDuringDrainLeavesOnce(t *testing.T) {
	cb := &countBus{members: map[session.Address]int{}}
	gate := make(chan struct{})
	var once sync.Once
	inside := make(chan struct{})
	h := startOn(t, func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] == "connect" && params["QUERY_STRING"] == "late" {
			once.Do(func() { close(inside) })
			<-gate
		}
		return "WS-Join: lobby", "hello"
	}, func(c *config.Config) { c.Drain = config.Duration(3 * time.Second) }, func(b *bus.Bus) Bus { cb.Bus = b; return cb })
	ann := h.dial("/", nil)
	ann.want("hello")
	result := make(chan string, 1)
	go func() {
		_, answer, err := websocket.Dial(within(t, patience), h.url+"/?late", nil)
		s := fmt.Sprint(err)
		if answer != nil {
			s = answer.Status
		}
		result <- s
	}()
	<-inside
	var late *connection
	h.Gateway.mu.Lock()
	for c := range h.live {
		if h.hub.Find([]session.Address{session.Conn(c.id())}) == nil {
			late = c
		}
	}
	h.Gateway.mu.Unlock()
	late.sendOff(closeDraining) // what Drain does to it
	close(gate)
	t.Logf("late handshake: %s", <-result)
	eventually(t, "its end", func() bool {
		h.Gateway.mu.Lock()
		defer h.Gateway.mu.Unlock()
		_, live := h.live[late]
		return !live
	})
	cb.mu.Lock()
	defer cb.mu.Unlock()
	if n := cb.members[session.Channel("lobby")]; n != 1 {
		t.Errorf("channel:lobby has %d members by the bus's count, ann is still in it: want 1", n)
	}
}
