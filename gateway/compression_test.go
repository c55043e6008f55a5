package gateway

import (
	"strings"
	"testing"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
)

func TestARouteMayCompress(t *testing.T) {
	h := start(t, echo, func(c *config.Config) { c.Routes[0].Compression = true })
	plain := h.dial("/", nil)
	packed := h.dial("/", &websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover, CompressionThreshold: 1})
	before := h.Stats().Socket
	long := strings.Repeat("again and again ", 1000)
	packed.send(long)
	packed.want(long)
	after := h.Stats().Socket
	if in, out := after.BytesIn-before.BytesIn, after.BytesOut-before.BytesOut; in > 1000 || out > 1000 {
		t.Errorf("%d bytes came and %d went for a message that shrinks to a few", in, out)
	}
	plain.send(long)
	plain.want(long)
}

func TestNoRouteCompressesByItself(t *testing.T) {
	h := start(t, echo, nil)
	conn, answer, err := websocket.Dial(t.Context(), h.url, &websocket.DialOptions{CompressionMode: websocket.CompressionNoContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if got := answer.Header.Get("Sec-WebSocket-Extensions"); got != "" {
		t.Errorf("agreed on %q", got)
	}
}
