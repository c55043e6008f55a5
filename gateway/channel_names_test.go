package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
	"wsfpm/session"
)

// manyChannels are names of 199 bytes, which WS_CHANNELS cannot carry all.
func manyChannels() (fit, more []string) {
	const size = 199
	for i := range session.MaxChannelNames / (size + 1) {
		fit = append(fit, fmt.Sprintf("%0*d", size, i))
	}
	rest := session.MaxChannelNames - len(fit)*(size+1)
	if rest > 1 {
		fit = append(fit, strings.Repeat("r", rest-1))
	}
	return fit, []string{"one more"}
}

func TestChannelsStayWithinWhatEventsCanCarry(t *testing.T) {
	fit, more := manyChannels()
	h := start(t, func(p map[string]string, body string) (string, string) {
		switch {
		case p["WS_EVENT"] == "connect":
			return "WS-User: u\r\nWS-Join: " + strings.Join(fit, ","), "in"
		case body == "more":
			return "WS-Join: " + more[0], "joined"
		case body == "first": // a header block may not hold this beside the names
			return "WS-State: " + strings.Repeat("s", session.MaxState), fmt.Sprint("first ", strings.Count(p["WS_CHANNELS"], ",")+1)
		case body == "swap":
			return "WS-Leave: " + fit[0] + "\r\nWS-Join: " + more[0], "swapped"
		}
		return "Content-Type: text/plain", body + " " + fmt.Sprint(strings.Count(p["WS_CHANNELS"], ",")+1)
	}, func(c *config.Config) { c.Limits.Channels = 0 })
	p := h.dial("/", nil)
	p.want("in")
	p.send("first")
	p.want(fmt.Sprint("first ", len(fit)))
	p.send("more")
	p.send("second")
	p.want(fmt.Sprint("second ", len(fit)))
	command := session.Command{To: []session.Address{session.User("u")}, Join: more, Message: session.NewMessage(false, []byte("pushed"))}
	if _, err := h.Push(t.Context(), []session.Command{command}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the push's join refused", func() bool { return h.Stats().Limits["channels"] == 2 })
	p.send("swap")
	p.want("swapped")
	p.send("third")
	p.want(fmt.Sprint("third ", len(fit)))
	_ = p.Conn.Close(websocket.StatusNormalClosure, "")
	eventually(t, "the disconnect event", func() bool { return len(h.seen("disconnect")) == 1 })
	if got := h.seen("disconnect")[0]; got["WS_CHANNELS"] != strings.Join(append(fit[1:], more...), ",") || len(got["WS_STATE"]) != session.MaxState {
		t.Errorf("disconnect: got %d bytes of channels and %d of state", len(got["WS_CHANNELS"]), len(got["WS_STATE"]))
	}
}

func TestOffersThatNoEventCanCarryAreRefused(t *testing.T) {
	h := start(t, echo, func(c *config.Config) { c.Limits.HandshakeHeaders = 1 << 20 })
	got := h.rawAnswer("Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: "+strings.Repeat("a,", 20<<10), "Sec-WebSocket-Protocol: "+strings.Repeat("b,", 20<<10))
	if !strings.HasPrefix(got, "HTTP/1.1 431 ") {
		t.Errorf("got %.40q, want 431", got)
	}
	if n := len(h.seen("connect")); n != 0 {
		t.Errorf("PHP was asked %d times", n)
	}
}
