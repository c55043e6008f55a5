package gateway

import (
	"testing"
	"time"

	"wsfpm/gateway/config"
)

func TestFailedAnswerLeavesNothing(t *testing.T) {
	h := start(t, func(params map[string]string, body string) (string, string) {
		switch {
		case params["WS_EVENT"] == "connect":
			return "Status: 204", ""
		case body == "bad":
			return "Set-Cookie: role=admin\r\nWS-Join: a, b, c", "x"
		}
		return "Content-Type: text/plain", "cookie=" + params["HTTP_COOKIE"]
	}, func(c *config.Config) { c.Limits.Channels = 2 })
	p := h.dial("/", nil)
	p.send("bad")
	p.send("ask")
	p.want("cookie=")
}

func TestUserLimitStopsTheWholeAnswer(t *testing.T) {
	h := start(t, func(params map[string]string, body string) (string, string) {
		switch {
		case params["WS_EVENT"] == "connect" && params["QUERY_STRING"] == "bob":
			return "WS-User: bob\r\nWS-Join: lobby", "hi"
		case params["WS_EVENT"] == "message":
			return "WS-User: bob\r\nWS-Publish: channel:lobby", "I am bob"
		}
		return "Status: 204", ""
	}, func(c *config.Config) { c.Limits.ConnectionsPerUser = 1 })
	bob := h.dial("/?bob", nil)
	bob.want("hi")
	p := h.dial("/", nil)
	p.send("x")
	p.wantClose(1008)
	if _, got, err := bob.Read(within(t, time.Second)); err == nil {
		t.Errorf("bob got %q of an answer that was not taken", got)
	}
}
