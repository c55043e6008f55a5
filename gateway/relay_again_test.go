package gateway

import (
	"testing"

	"github.com/coder/websocket"

	"wsfpm/session"
)

// Scripts repeat a header in every answer.
func TestTheSameRelayAgainLosesNoFrame(t *testing.T) {
	t.Log("contract-row: 2.relay-again")
	h := start(t, relaying, nil)
	a, b := h.dial("/?prefix=c,raw,latest=1m", nil), h.dial("/?binary", nil)
	a.send("c1")
	a.send("c2")
	a.send("WS-Relay: channel:doc; raw; prefix=c; latest=60s")
	a.want("done")
	_ = a.Close(websocket.StatusNormalClosure, "")
	b.want("c1")
	b.want("c2")
}

// The script has asked whether its user may relay before that ended.
func TestAnAnswerFromBeforeItsEndBringsNoRelayBack(t *testing.T) {
	t.Log("contract-row: 2.relay-late")
	release := make(chan struct{})
	h := start(t, func(params map[string]string, body string) (string, string) {
		if body == "slow" {
			<-release
			body = "WS-Relay: channel:doc; binary; echo"
		}
		return relaying(params, body)
	}, nil)
	a := h.dial("/?binary", nil)
	a.send("slow")
	eventually(t, "the script to run", func() bool { return len(h.seen("message")) == 1 })
	if n, err := h.Push(t.Context(), []session.Command{{To: []session.Address{session.Channel("doc")}, Relay: &session.Relay{Ended: true}}}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	eventually(t, "the relay to end", func() bool {
		for s := range h.Connections() {
			if r, _ := h.hub.Conn(s.ID).Relay(); r.Ended {
				return true
			}
		}
		return false
	})
	close(release)
	a.want("done")
	a.sendBinary("x")
	eventually(t, "the frame's end", func() bool { return h.frames("ended")+h.frames("sent") == 1 })
	if h.frames("ended") != 1 {
		t.Error("the answer brought the relay back")
	}
	a.send("WS-Relay: channel:doc; binary; echo")
	a.want("done")
	a.sendBinary("y")
	a.want("y")
}
