package gateway

import (
	"testing"
	"time"

	"wsfpm/gateway/config"
)

// The client's answer to our Close is read while the close waits for its turn.
func TestConnectThatPublishesAndClosesEndsSoon(t *testing.T) {
	connecting, gate := make(chan struct{}), make(chan struct{})
	h := start(t, func(params map[string]string, _ string) (string, string) {
		if params["WS_EVENT"] == "connect" {
			close(connecting)
			<-gate
		}
		return "WS-Publish: channel:x\r\nWS-Close: 4001 bye", "hello"
	}, func(c *config.Config) { c.Redis.Confirm = config.Duration(time.Hour) })
	var c *connection
	go func() {
		defer close(gate)
		<-connecting
		h.Gateway.mu.Lock()
		defer h.Gateway.mu.Unlock()
		for c = range h.live {
		}
	}()
	p := h.dial("/", nil)
	p.wantClose(4001) // answers it too
	eventually(t, "disconnect", func() bool { return len(h.seen("disconnect")) == 1 })
	if code, _, clean := c.socket.Cause(); code != 4001 || !clean {
		t.Errorf("ended with %d, the client's answer read: %v; want 4001 and true", code, clean)
	}
}
