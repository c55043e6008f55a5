package gateway

import (
	"testing"
	"time"
)

func TestConnectThatPublishesAndClosesEndsSoon(t *testing.T) {
	h := start(t, func(params map[string]string, _ string) (string, string) {
		return "WS-Publish: channel:x\r\nWS-Close: 4001 bye", "hello"
	}, nil)
	p := h.dial("/", nil)
	p.wantClose(4001) // answers it too
	began := time.Now()
	eventually(t, "disconnect", func() bool { return len(h.seen("disconnect")) == 1 })
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("the client's answer to our Close was read after %v: nobody reads while started waits", took.Round(time.Millisecond))
	}
}
