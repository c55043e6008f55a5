package gateway

import (
	"testing"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
)

func TestNoAgreedSubprotocolIsLoggedOncePerRoute(t *testing.T) {
	h := start(t, echo, func(c *config.Config) { c.Routes[0].Protocols = []string{"v2"} })
	warnings := func() int { return h.log.FilterMessageSnippet("subprotocols").Len() }
	h.dial("/", nil)
	h.dial("/", &websocket.DialOptions{Subprotocols: []string{"v1", "v2"}})
	if n := warnings(); n != 0 {
		t.Errorf("%d warnings without a reason", n)
	}
	for range 3 {
		h.dial("/", &websocket.DialOptions{Subprotocols: []string{"v1"}})
	}
	eventually(t, "the warning", func() bool { return warnings() > 0 })
	if n := warnings(); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
}
