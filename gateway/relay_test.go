package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/session"
)

// relaying is a script that lets each client relay as its query says, in the room doc.
func relaying(params map[string]string, body string) (string, string) {
	switch {
	case params["WS_EVENT"] == "connect":
		return "WS-Join: doc\r\nWS-User: " + params["REMOTE_PORT"] + "\r\nWS-Relay: channel:doc; " + strings.ReplaceAll(params["QUERY_STRING"], ",", "; "), ""
	case params["WS_RELAYED"] != "":
		return "Status: 204", ""
	case strings.HasPrefix(body, "WS-"):
		return body, "done"
	}
	return html, "php: " + body
}

func (p *peer) sendBinary(data string) {
	p.t.Helper()
	if err := p.Write(p.t.Context(), websocket.MessageBinary, []byte(data)); err != nil {
		p.t.Fatal(err)
	}
}

// frames is how many frames had an outcome.
func (h *harness) frames(outcome string) int64 { return h.Stats().Frames[outcome] }

func TestFramesKeepTheirPlaceAfterTheHandler(t *testing.T) {
	release := make(chan struct{})
	h := start(t, func(params map[string]string, body string) (string, string) {
		if body == "slow" {
			<-release
			return "WS-Publish: channel:doc", "first"
		}
		return relaying(params, body)
	}, nil)
	a, b := h.dial("/?binary", nil), h.dial("/?binary", nil)
	a.send("slow")
	a.sendBinary("second")
	eventually(t, "the script to run", func() bool { return len(h.seen("message")) == 1 })
	close(release)
	b.want("first")
	b.want("second")
	a.want("first")
	if n := len(h.seen("message")); n != 1 {
		t.Errorf("%d message events", n)
	}
}

func TestAfterItsEndARelayDropsFrames(t *testing.T) {
	h := start(t, relaying, nil)
	a, b := h.dial("/?binary", nil), h.dial("/?binary", nil)
	a.sendBinary("1")
	b.want("1")
	a.send("WS-Relay:")
	a.want("done")
	a.sendBinary("2")
	eventually(t, "the frame to be dropped", func() bool { return h.frames("ended") == 1 })
	a.send("WS-Relay: php")
	a.want("done")
	a.sendBinary("3")
	a.want("php: 3")
	a.send("WS-Relay: channel:doc; binary; echo")
	a.want("done")
	a.sendBinary("4")
	a.want("4")
	b.want("4")
	for _, c := range []session.Command{
		{To: []session.Address{session.Channel("doc")}, Relay: &session.Relay{Ended: true}},
		{To: []session.Address{session.Channel("doc")}, Leave: []string{"doc"}},
	} {
		dropped, done := h.frames("ended"), len(h.seen("message"))
		if _, err := h.Push(t.Context(), []session.Command{c}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the relay to end", func() bool {
			for s := range h.Connections() {
				if r, _ := h.hub.Conn(s.ID).Relay(); !r.Ended {
					return false
				}
			}
			return true
		})
		a.sendBinary("5")
		eventually(t, "the frame to be dropped", func() bool { return h.frames("ended") == dropped+1 })
		if n := len(h.seen("message")); n != done {
			t.Errorf("PHP got %d frames", n-done)
		}
		a.send("WS-Join: doc\r\nWS-Relay: channel:doc; binary; echo")
		a.want("done")
		a.sendBinary("6") // the relay begins behind the reply
		a.want("6")
	}
}

func TestARelayNeedsItsChannel(t *testing.T) {
	h := start(t, relaying, nil)
	a := h.dialWrapped("/?binary")
	for _, header := range []string{"WS-Relay: channel:other; binary", "WS-Leave: doc\r\nWS-Relay: channel:doc; binary"} {
		a.send(fmt.Sprintf(`{"id":"k","data":%q}`, header))
		a.want(`{"re":"k","error":"failed"}`)
	}
	a.send(fmt.Sprintf(`{"id":"k","data":%q}`, "WS-Join: other\r\nWS-Relay: channel:other; prefix=c"))
	a.want(`{"re":"k","data":"done"}`)
	a.send(`{"id":"c1","data":"c"}`)
	a.want(`{"re":"c1"}`)
	a.send(fmt.Sprintf(`{"id":"k","data":%q}`, "WS-User: x"))
	a.want(`{"re":"k","data":"done"}`)
	a.send(`{"id":"c2","data":"c"}`)
	a.want(`{"re":"c2","error":"failed"}`)
}

func TestTheNewestFrameOfASpanIsSentAtItsEnd(t *testing.T) {
	h := start(t, relaying, nil)
	a, b := h.dial("/?prefix=c,raw,latest=500ms", nil), h.dial("/?binary", nil)
	for i := range 20 {
		a.send(fmt.Sprint("c", i))
	}
	b.want("c0")
	_, got, err := b.Read(within(t, patience))
	eventually(t, "the others to be replaced", func() bool { return h.frames("replaced")+h.frames("sent") == 20 })
	if n := h.frames("sent"); err != nil || n > 10 || string(got) == "c1" {
		t.Errorf("got %q, %v, and %d were sent", got, err, n)
	}
	if string(got) != "c19" {
		until(t, b, "c19") // on a slow machine there were more spans
	}
	a.send("c20")
	a.send("c21")
	_ = a.Close(websocket.StatusNormalClosure, "")
	until(t, b, "c21")
}

// until reads a client's messages up to one.
func until(t *testing.T, p *peer, last string) {
	t.Helper()
	for got := ""; got != last; {
		_, data, err := p.Read(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		got = string(data)
	}
}

func TestTheScriptGetsCopies(t *testing.T) {
	h := start(t, relaying, nil)
	a := h.dial("/?binary,prefix=c,copy=1s", nil)
	for i := range 100 {
		a.send(fmt.Sprint("c", i))
	}
	eventually(t, "all copies", func() bool { return h.copied(t) == 100 })
	first := h.seen("message")[0]
	if n := len(h.seen("message")); n > 10 || first["CONTENT_TYPE"] != "application/json" || first["WS_RELAY_MISSED"] != "0" || !strings.HasPrefix(first[""], `[{"to":"channel:doc","data":"c0"}`) {
		t.Errorf("%d events, the first %v", n, first)
	}
	a.sendBinary("\x00\xff")
	a.send("sync")
	a.want("php: sync")
	_ = a.Close(websocket.StatusNormalClosure, "")
	eventually(t, "the disconnect event", func() bool { return len(h.seen("disconnect")) == 1 })
	if n := h.copied(t); n != 101 {
		t.Errorf("%d copies before the disconnect event", n)
	}
	eventually(t, "the memory to be free", func() bool { return h.Stats().InboundBytes == 0 })
}

// copied is how many frames scripts got as copies.
func (h *harness) copied(t *testing.T) (n int) {
	t.Helper()
	for _, e := range h.seen("message") {
		count := 0
		_, _ = fmt.Sscan(e["WS_RELAYED"], &count) // absent: 0
		if count != strings.Count(e[""], `"to":"channel:doc"`) {
			t.Errorf("%d frames in %s", count, e[""])
		}
		n += count
	}
	return n
}

func TestFramesHaveLimitsOfTheirOwn(t *testing.T) {
	h := start(t, relaying, func(c *config.Config) {
		c.Limits.MessagesPerSecond, c.Limits.Burst, c.Limits.RelayFrame = 0.001, 1, 10
	})
	a, b := h.dial("/?prefix=c,raw,rate=40", nil), h.dial("/?binary", nil)
	a.send("c" + strings.Repeat("x", 10))
	for i := range 50 {
		a.send(fmt.Sprint("c", i))
	}
	for i := range 50 {
		b.want(fmt.Sprint("c", i))
	}
	limits := h.Stats().Limits
	if limits["relay_per_second"] == 0 || limits["relay_frame"] != 1 || limits["messages_per_second"] != 0 || h.frames("too_large") != 1 {
		t.Errorf("got %v", limits)
	}
}

// A text that only its sender's address and escapes make too long for the nodes that should
// deliver it is dropped here, where the client hears of it.
func TestAFrameThatGrowsTooLargeIsDropped(t *testing.T) {
	h := start(t, relaying, func(c *config.Config) {
		c.Redis.URL, c.Redis.PushLimit, c.Limits.RelayFrame = "redis://none", 2<<10, 1000
	})
	a := h.dialWrapped("/?prefix=c")
	for id, text := range map[string]string{"k1": strings.Repeat(`"`, 900), "k2": strings.Repeat("x", 900)} {
		data, err := json.Marshal("c" + text)
		if err != nil {
			t.Fatal(err)
		}
		a.send(fmt.Sprintf(`{"id":%q,"data":%s}`, id, data))
		a.want(map[string]string{"k1": `{"re":"k1","error":"failed"}`, "k2": `{"re":"k2"}`}[id])
	}
	if n := h.frames("too_large"); n != 1 || h.frames("sent") != 1 {
		t.Errorf("%d frames are too large, %d were sent", n, h.frames("sent"))
	}
}

// sieve is a bus that loses frames while it is told to.
type sieve struct {
	*bus.Bus
	loses, down atomic.Bool
}

func (s *sieve) Publish(ctx context.Context, c session.Command) error {
	if s.loses.Load() {
		return errors.New("lost")
	}
	return s.Bus.Publish(ctx, c)
}

func (s *sieve) Ready() error {
	if s.down.Load() {
		return errors.New("down")
	}
	return s.Bus.Ready()
}

func TestLostFramesSendTheRoomAway(t *testing.T) {
	var s *sieve
	h := startOn(t, relaying, nil, func(b *bus.Bus) Bus { s = &sieve{Bus: b}; return s })
	a, b := h.dial("/?binary", nil), h.dial("/?binary", nil)
	other := h.dial("/?binary", nil)
	other.send("WS-Leave: doc\r\nWS-Join: x\r\nWS-Relay: channel:x; binary; echo")
	other.want("done")
	s.loses.Store(true)
	s.down.Store(true)
	a.sendBinary("1")
	a.sendBinary("2")
	eventually(t, "the loss", func() bool { return h.frames("lost") == 2 })
	a.send("still here")
	a.want("php: still here")
	s.loses.Store(false)
	s.down.Store(false)
	a.wantClose(1012)
	b.wantClose(1012)
	other.sendBinary("3")
	other.want("3")
	if n := h.Stats().Resynced; n != 2 {
		t.Errorf("%d clients were sent away", n)
	}
	h.missedFrames()
	other.wantClose(1012)
}

// A client that is sent away for a frame of another drops its own meanwhile: those who should
// have got them are sent away too.
func TestFramesThatAreDroppedMeanwhileSendTheirRoomAway(t *testing.T) {
	var s *sieve
	h := startOn(t, relaying, nil, func(b *bus.Bus) Bus { s = &sieve{Bus: b}; return s })
	a, b, c := h.dial("/?binary", nil), h.dial("/?binary", nil), h.dial("/?binary", nil)
	b.send("WS-Join: x\r\nWS-Relay: channel:x; binary")
	b.want("done")
	c.send("WS-Leave: doc\r\nWS-Join: x")
	c.want("done")
	s.loses.Store(true)
	s.down.Store(true)
	a.sendBinary("1")
	eventually(t, "the loss", func() bool { return h.frames("lost") == 1 })
	s.loses.Store(false)
	b.sendBinary("2")
	eventually(t, "the next loss", func() bool { return h.frames("lost") == 2 })
	s.down.Store(false)
	b.wantClose(1012)
	c.wantClose(1012)
}

// The timer of a span fires while a connection is idle and has no goroutine, or ends.
func TestASpanEndsWithoutAReader(t *testing.T) {
	h := start(t, relaying, nil)
	b := h.dial("/?binary", nil)
	for i := range 50 {
		a := h.dial("/?prefix=c,raw,latest=10ms", nil)
		a.send("c1")
		a.send(fmt.Sprint("c2-", i))
		if i%2 == 0 {
			defer a.CloseNow()
		} else {
			_ = a.CloseNow()
			continue
		}
		until(t, b, fmt.Sprint("c2-", i))
		if i == 40 {
			a.send("after")
			until(t, a, "php: after")
		}
	}
}
