package gateway

import (
	"strings"
	"testing"

	"wsfpm/session"
)

func TestPushWithLeaveEscapesQueueBound(t *testing.T) {
	h := start(t, func(map[string]string, string) (string, string) { return "WS-User: u", "" }, nil)
	h.dial("/", nil) // never reads
	eventually(t, "there", func() bool { return h.hub.Len() == 1 })
	data := strings.Repeat("x", 1<<20)
	for range 64 {
		c := session.Command{To: []session.Address{session.User("u")}, Leave: []string{"nowhere"}, Message: session.NewMessage(false, []byte(data))}
		if _, err := h.Push(t.Context(), []session.Command{c}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the client that never reads to be closed", func() bool { return h.Stats().Socket.SlowReaders == 1 })
	for c := range h.Connections() {
		if c.Queued > 8<<20 {
			t.Errorf("%d MiB wait for one client, limits.queue is 1 MiB; slow readers: %d", c.Queued>>20, h.Stats().Socket.SlowReaders)
		}
	}
}
