package gateway

import (
	"fmt"
	"testing"
	"time"

	"wsfpm/gateway/config"
)

// expiring answers a connect with an end a second or two ahead, and a message with its body
// as the header WS-Expires, after gate where that is "late".
func expiring(gate <-chan struct{}) script {
	return func(params map[string]string, body string) (string, string) {
		switch {
		case params["WS_EVENT"] == "connect":
			return "Content-Type: text/plain\r\nWS-Expires: " + fmt.Sprint(time.Now().Unix()+2), "hello"
		case body == "late":
			<-gate
			return "Content-Type: text/plain\r\nWS-Expires: never", "late"
		}
		return "Content-Type: text/plain\r\nWS-Expires: " + body, body
	}
}

// A session ends at its time, without a message, also while nothing is read from its client.
func TestASessionEndsAtItsTime(t *testing.T) {
	h := start(t, expiring(nil), nil)
	renewed := h.dial("/", nil)
	renewed.want("hello")
	renewed.send("never")
	renewed.want("never")
	began := time.Now()
	p := h.dial("/", nil)
	p.want("hello")
	h.reloaded(func(c *config.Config) { c.Routes[0].ExpireCode = 4200 }) // it is the newest that counts
	p.wantClose(4200)
	if took := time.Since(began); took < 900*time.Millisecond {
		t.Errorf("ended after %v, want 1 to 2 s", took)
	}
	eventually(t, "its disconnect", func() bool { return len(h.seen("disconnect")) == 1 })
	if e := h.seen("disconnect")[0]; e["WS_CLOSE_CODE"] != "4200" || e["WS_CLOSE_REASON"] != "session expired" {
		t.Errorf("disconnect: got %s %q", e["WS_CLOSE_CODE"], e["WS_CLOSE_REASON"])
	}
	h.stats.mu.Lock()
	defer h.stats.mu.Unlock()
	if h.stats.closes[4200] != 1 {
		t.Errorf("closes by code: got %v", h.stats.closes)
	}
	renewed.send("never")
	renewed.want("never")
}

// The answer to a message that was received before the end is sent, and changes nothing.
func TestARunningEventOutlivesItsSession(t *testing.T) {
	gate := make(chan struct{})
	h := start(t, expiring(gate), nil)
	p := h.dial("/", nil)
	p.want("hello")
	p.send("late")
	eventually(t, "the end of the session", h.expired)
	close(gate)
	p.want("late")
	p.wantClose(4401)
}
