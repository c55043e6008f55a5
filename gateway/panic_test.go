package gateway

import (
	"context"
	"strings"
	"testing"

	"wsfpm/gateway/bus"
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
