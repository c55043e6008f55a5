package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
	"wsfpm/gateway/once"
	"wsfpm/session"
	"wsfpm/test/fcgitest"
)

// html is the header of PHP's usual answer.
const html = "Content-Type: text/html; charset=UTF-8"

// wrappedClient are the options of a client that speaks wsfpm.v1.
var wrappedClient = &websocket.DialOptions{Subprotocols: []string{"v2", "wsfpm.v1"}}

// dialWrapped connects a client that speaks wsfpm.v1, and reads its hello.
func (h *harness) dialWrapped(path string) *peer {
	h.t.Helper()
	p := h.dial(path, wrappedClient)
	if p.Subprotocol() != "wsfpm.v1" {
		h.t.Fatalf("agreed on %q", p.Subprotocol())
	}
	seen := h.seen("connect")
	id, user := seen[len(seen)-1]["WS_CONNECTION"], ""
	if name := h.hub.Conn(id).Membership().User; name != "" {
		user = fmt.Sprintf(`,"user":%q`, once.User(name))
	}
	p.want(fmt.Sprintf(`{"hello":{"conn":%q,"resume":"off","ping":25%s}}`, id, user))
	return p
}

func TestEveryRouteSpeaksEnvelopes(t *testing.T) {
	h := start(t, func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] == "connect" {
			return html, params["QUERY_STRING"]
		}
		return html, body
	}, func(c *config.Config) { c.Routes[0].Protocols = []string{"v2"} })
	p := h.dialWrapped("/?welcome")
	p.want(`{"data":"welcome"}`)
	p.send(`{"data":"hi"}`)
	p.want(`{"data":"hi"}`)
	p.send(`{"data":{"a": [1, "x"]}}`)
	p.want(`{"data":{"a":[1,"x"]}}`)
	p.send(`{"id":"k7","data":"hi"}`)
	p.want(`{"re":"k7","data":"hi"}`)
	p.send(`{"id":"k8","data":""}`)
	p.want(`{"re":"k8"}`)
	p.send(`{"data":""}`)
	if err := p.Write(t.Context(), websocket.MessageBinary, []byte(`{"id":"k9"}`)); err != nil {
		t.Fatal(err)
	}
	p.want(`{"data":{"id":"k9"}}`)
	events := h.seen("message")
	for i, want := range []string{"hi", `{"a":[1,"x"]}`, "hi", "", "", `{"id":"k9"}`} {
		if e := events[i]; e[""] != want || e["CONTENT_LENGTH"] != fmt.Sprint(len(want)) || e["WS_PROTOCOL"] != "wsfpm.v1" || e["WS_SEQ"] != fmt.Sprint(i+1) {
			t.Errorf("message %d: got %q, want %q", i+1, e, want)
		}
	}
}

func TestAScriptMayNameAnotherProtocol(t *testing.T) {
	h := start(t, func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] == "connect" {
			return "WS-Protocol: v2", "plain"
		}
		return html, body
	}, nil)
	p := h.dial("/", wrappedClient)
	if p.Subprotocol() != "v2" {
		t.Fatalf("agreed on %q", p.Subprotocol())
	}
	p.want("plain")
	p.send(`{"data":"hi"}`)
	p.want(`{"data":"hi"}`)
	if e := h.seen("message")[0]; e[""] != `{"data":"hi"}` {
		t.Errorf("PHP got %q", e[""])
	}
}

func TestPushesAreWrapped(t *testing.T) {
	h := start(t, func(map[string]string, string) (string, string) { return "WS-Join: room", "" }, nil)
	p := h.dialWrapped("/")
	plain := h.dial("/", nil)
	for _, m := range []*session.Message{
		session.NewMessage(false, []byte("word")),
		session.NewMessage(false, []byte(`[1, 2]`)),
		session.NewMessage(true, []byte{0, 255}),
	} {
		c := session.Command{To: []session.Address{session.Channel("room")}, Message: m}
		if _, err := h.Push(t.Context(), []session.Command{c}); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{`{"data":"word"}`, `{"data":[1, 2]}`, `{"base64":"AP8="}`} {
		p.want(want)
	}
	for _, want := range []string{"word", "[1, 2]", "\x00\xff"} {
		plain.want(want)
	}
}

// Each message with an id gets one reply without "more", whatever becomes of it.
func TestEachIDIsAnswered(t *testing.T) {
	answers := map[string][2]string{
		"none":     {"Status: 204", ""},
		"blank":    {html, " \n"},
		"list":     {"Content-Type: application/vnd.wsfpm+json", `[{"data":"one"},{"base64":"AP8="},{"user":"7"},{"data":[3]}]`},
		"others":   {"WS-Publish: conn:absent", "for others"},
		"commands": {"Content-Type: application/vnd.wsfpm+json", `[{"to":"conn:absent","data":"x"},{"state":"s"}]`},
		"bytes":    {"Content-Type: image/png", "\x01\x02"},
		"join":     {"WS-Join: here", "joined"},
		"broken":   {"Status: 500", "x"},
		"bad":      {"WS-Nonsense: x", "x"},
	}
	h := start(t, func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] != "message" {
			return html, ""
		}
		return answers[body][0], answers[body][1]
	}, func(c *config.Config) { c.Limits.MessagesPerSecond = 0 })
	p := h.dialWrapped("/")
	for _, c := range []struct {
		kind string
		want []string
	}{
		{"none", []string{`{"re":"$"}`}},
		{"blank", []string{`{"re":"$"}`}},
		{"list", []string{`{"re":"$","more":true,"data":"one"}`, `{"re":"$","more":true,"base64":"AP8="}`, `{"re":"$","data":[3]}`}},
		{"others", []string{`{"re":"$"}`}},
		{"commands", []string{`{"re":"$"}`}},
		{"bytes", []string{`{"re":"$","base64":"AQI="}`}},
		{"join", []string{`{"re":"$","data":"joined"}`}},
		{"broken", []string{`{"re":"$","error":"failed"}`}},
		{"bad", []string{`{"re":"$","error":"failed"}`}},
	} {
		p.send(fmt.Sprintf(`{"id":"id-%s","data":"%[1]s"}`, c.kind))
		for _, want := range c.want {
			p.want(strings.ReplaceAll(want, "$", "id-"+c.kind))
		}
	}
}

func TestAFailureIsToldTogetherWithOnError(t *testing.T) {
	h := start(t, func(params map[string]string, _ string) (string, string) {
		if params["WS_EVENT"] == "message" {
			return "Status: 500", ""
		}
		return html, ""
	}, func(c *config.Config) {
		c.Routes[0].OnError, c.Routes[0].ErrorMessage = config.OnErrorMessage, `{"sorry":true}`
	})
	p := h.dialWrapped("/")
	p.send(`{"id":"a","data":1}`)
	p.want(`{"re":"a","error":"failed","data":{"sorry":true}}`)
	p.send(`{"data":1}`)
	p.want(`{"data":{"sorry":true}}`)

	h = start(t, func(params map[string]string, _ string) (string, string) {
		if params["WS_EVENT"] == "message" {
			return "Status: 500", ""
		}
		return html, ""
	}, func(c *config.Config) { c.Routes[0].OnError = config.OnErrorClose })
	p = h.dialWrapped("/")
	p.send(`{"id":"a","data":1}`)
	p.want(`{"re":"a","error":"failed"}`)
	p.wantClose(1011)
}

func TestAMessageThatNoScriptIsCalledForFails(t *testing.T) {
	h := start(t, func(map[string]string, string) (string, string) { return html, "" },
		func(c *config.Config) { c.Routes[0].Events = []string{config.EventConnect} })
	p := h.dialWrapped("/")
	p.send(`{"data":1}`)
	p.send(`{"id":"a","data":1}`)
	p.want(`{"re":"a","error":"failed"}`)
}

func TestLinesOfAStreamAreReplies(t *testing.T) {
	server := fcgitest.NewServer(func(w *fcgitest.Writer, r *fcgitest.Request) {
		switch body := string(r.Body); {
		case r.Params["WS_EVENT"] != "message":
			w.Stdout("Status: 204\r\n\r\n")
		case body == "empty":
			w.Stdout("Content-Type: application/x-ndjson\r\n\r\n")
		case body == "close":
			w.Stdout("Content-Type: application/x-ndjson\r\nWS-Close: 4001 over\r\n\r\nlast\n")
		case body == "cut":
			w.Stdout("Content-Type: application/x-ndjson\r\n\r\nwhole\nhal")
			w.Hangup()
		default:
			w.Stdout("Content-Type: application/x-ndjson\r\nWS-Join: room\r\n\r\none\n{\"n\":2}\n\nthree")
		}
	}, fcgitest.Options{Workers: 8})
	t.Cleanup(server.Close)
	h := start(t, echo, func(c *config.Config) {
		c.FPM["default"].Network, c.FPM["default"].Addr = server.Network, server.Address
	})
	p := h.dial("/", wrappedClient)
	if _, _, err := p.Read(t.Context()); err != nil { // the hello
		t.Fatal(err)
	}
	p.send(`{"id":"s","data":"lines"}`)
	for _, want := range []string{`{"re":"s","more":true,"data":"one"}`, `{"re":"s","more":true,"data":{"n":2}}`, `{"re":"s","more":true,"data":"three"}`, `{"re":"s"}`} {
		p.want(want)
	}
	p.send(`{"data":"lines"}`)
	for _, want := range []string{`{"data":"one"}`, `{"data":{"n":2}}`, `{"data":"three"}`} {
		p.want(want)
	}
	p.send(`{"id":"e","data":"empty"}`)
	p.want(`{"re":"e"}`)
	p.send(`{"id":"c","data":"cut"}`)
	p.want(`{"re":"c","more":true,"data":"whole"}`)
	p.want(`{"re":"c","error":"failed"}`)
	p.send(`{"id":"over","data":"close"}`)
	p.want(`{"re":"over","more":true,"data":"last"}`)
	p.want(`{"re":"over"}`)
	p.wantClose(4001)
}

func TestAMessageThatIsNoEnvelopeClosesWithTheReason(t *testing.T) {
	h := start(t, func(params map[string]string, body string) (string, string) { return html, body }, nil)
	for text, want := range map[string]string{
		"hello":                 "not JSON",
		`{"type":"x"}`:          "unknown field",
		`{"id":"ä ö","data":1}`: "id",
	} {
		p := h.dialWrapped("/")
		p.send(`{"id":"before","data":"x"}`)
		p.want(`{"re":"before","data":"x"}`)
		p.send(text)
		p.send(`{"data":"after"}`)
		_, _, err := p.Read(within(t, patience))
		if code := websocket.CloseStatus(err); code != 4400 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want 4400 with %q", text, err, want)
		}
	}
	if n := len(h.seen("message")); n != 3 {
		t.Errorf("PHP was called for %d messages, want 3", n)
	}
	eventually(t, "the code in the metrics", func() bool { return h.Stats().Closes[4400] == 3 })
}

// A page cannot see pings. What it gets instead is no activity: limits.idle holds.
func TestAPageSeesThatTheConnectionWorks(t *testing.T) {
	h := start(t, func(map[string]string, string) (string, string) { return html, "" }, func(c *config.Config) {
		c.Limits.PingInterval, c.Limits.ControlRate = config.Duration(20*time.Millisecond), 0
		c.Limits.Idle = config.Duration(time.Second)
	})
	p := h.dial("/", wrappedClient)
	_, hello, err := p.Read(within(t, patience))
	if err != nil || !strings.Contains(string(hello), `"ping":0.02}`) {
		t.Fatalf("got %q, %v", hello, err)
	}
	for range 3 {
		p.want("{}")
	}
	for err == nil {
		_, _, err = p.Read(within(t, patience))
	}
	if websocket.CloseStatus(err) != 1001 {
		t.Errorf("got %v, want 1001", err)
	}
}
