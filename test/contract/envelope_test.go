package contract

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// wrapped connects a client that speaks wsfpm.v1, and reads its hello.
func (w *world) wrapped(query string, opt stack.DialOptions) (*stack.Client, hello) {
	w.t.Helper()
	opt.Protocols = []string{"v2", "wsfpm.v1"}
	c := w.dial(query, opt)
	equal(w.t, "subprotocol", c.Conn.Subprotocol(), "wsfpm.v1")
	first := decode[struct{ Hello hello }](w.t, c.Next().Data)
	return c, first.Hello
}

// hello is the first message of wsfpm.v1.
type hello struct {
	Conn, Resume string
	Ping         float64
}

// ask sends a message with an id to chatty.php, which answers with the headers and the body.
func ask(c *stack.Client, id, body string, headers ...string) {
	data, _ := json.Marshal(strings.Join(headers, "\n") + "\n\n" + body) // a string: no error
	c.Send(fmt.Sprintf(`{"id":%q,"data":%s}`, id, data))
}

func TestEveryRouteAgreesOnTheEnvelope(t *testing.T) {
	w := start(t, setup{script: `
		if ($_SERVER['WS_EVENT'] === 'connect' && isset($_GET['p'])) header("WS-Protocol: {$_GET['p']}");
		echo $_SERVER['WS_EVENT'] === 'connect' ? $_SERVER['WS_CONNECTION'] : file_get_contents('php://input');`,
		route: `protocols = ["v2"]`}, "6.agreed", "6.others", "6.hello", "6.data", "6.embedding", "2.protocol-default")
	c, first := w.wrapped("", stack.DialOptions{})
	equal(t, "resume", first.Resume, "off")
	equal(t, "ping", first.Ping, 25)
	c.Expect(fmt.Sprintf(`{"data":%q}`, first.Conn))
	for body, want := range map[string]string{
		`{"a": [1]}`: `{"data":{"a":[1]}}`,
		`"[1, 2] "`:  `{"data":[1, 2] }`,
		`"a\"b"`:     `{"data":"a\"b"}`,
		`42`:         `{"data":"42"}`,
		`null`:       `{"data":"null"}`,
		`"\"q\""`:    `{"data":"\"q\""}`,
	} {
		c.Send(`{"data":` + body + `}`)
		c.Expect(want)
	}
	for _, e := range w.trace.Of("message") {
		equal(t, "WS_PROTOCOL", e.Var("WS_PROTOCOL"), "wsfpm.v1")
	}
	named := w.dial("?p=v2", stack.DialOptions{Protocols: []string{"wsfpm.v1", "v2"}})
	equal(t, "the script's choice", named.Conn.Subprotocol(), "v2")
	plain := w.dial("", stack.DialOptions{Protocols: []string{"v2"}})
	equal(t, "without an offer", plain.Conn.Subprotocol(), "v2")
	for _, c := range []*stack.Client{named, plain} {
		c.Next() // the id
		c.Send(`{"id":"k7","data":"x"}`)
		c.Expect(`{"id":"k7","data":"x"}`)
	}
}

func TestAPushIsInAnEnvelopeForThoseWhoseProtocolItIs(t *testing.T) {
	w := start(t, setup{script: `if ($_SERVER['WS_EVENT'] === 'connect') header('WS-Join: room');`, redis: true,
		route: `compression = true`}, "6.data", "6.base64", "6.once-for-all")
	a, _ := w.wrapped("", stack.DialOptions{})
	b, _ := w.wrapped("", stack.DialOptions{Compress: true})
	plain := w.open()
	long := strings.Repeat("half of it is the same ", 100)
	w.publish("channel:room", "word")
	w.publish("channel:room", long)
	w.pushed(`{"to":"channel:room","base64":"AP8="}`, 3)
	for _, c := range []*stack.Client{a, b} {
		c.Expect(`{"data":"word"}`)
		c.Expect(`{"data":"` + long + `"}`)
		c.Expect(`{"base64":"AP8="}`)
	}
	plain.Expect("word")
	plain.Expect(long)
	plain.ExpectBinary([]byte{0, 255})
}

func TestEveryMessageWithAnIDHasAReply(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "6.re", "6.re-none", "6.more", "6.more-stream", "6.failed", "6.input", "6.id", "6.binary-input", "6.base64")
	c, _ := w.wrapped("", stack.DialOptions{})
	id := strings.Repeat("a-Z_9", 12) + "last"
	ask(c, id, "grüß dich")
	c.Expect(`{"re":"` + id + `","data":"grüß dich"}`)
	ask(c, "none", "")
	c.Expect(`{"re":"none"}`)
	ask(c, "no-content", "x", "status:204")
	c.Expect(`{"re":"no-content"}`)
	ask(c, "others", "x", "WS-Publish: conn:none")
	c.Expect(`{"re":"others"}`)
	ask(c, "bytes", "\x01\x02", "Content-Type: image/png")
	c.Expect(`{"re":"bytes","base64":"AQI="}`)
	ask(c, "several", `[{"data":"one"},{"data":{"n":2}},{"data":"three"}]`, "Content-Type: application/vnd.wsfpm+json")
	for _, want := range []string{`"more":true,"data":"one"`, `"more":true,"data":{"n":2}`, `"data":"three"`} {
		c.Expect(`{"re":"several",` + want + `}`)
	}
	ask(c, "stream", "{\"n\":1}\n\ntwo", "Content-Type: application/x-ndjson")
	for _, want := range []string{`,"more":true,"data":{"n":1}`, `,"more":true,"data":"two"`, ``} {
		c.Expect(`{"re":"stream"` + want + `}`)
	}
	ask(c, "bad", "x", "status:500")
	c.Expect(`{"re":"bad","error":"failed"}`)
	c.SendBinary([]byte("\n\n" + `{"data":"binary"}`))
	c.Expect(`{"data":{"data":"binary"}}`)
}

func TestOnErrorAppliesBesideTheReply(t *testing.T) {
	w := start(t, setup{script: "chatty.php", route: "on_error = \"message\"\nerror_message = '{\"sorry\":1}'",
		options: stack.GatewayOptions{Routes: "[[route]]\npath = \"/ws/close\"\nscript = \"$DIR/chatty.php\"\non_error = \"close\"\n" +
			"[[route]]\npath = \"/ws/deaf\"\nscript = \"$DIR/chatty.php\"\nevents = [\"connect\"]\n"}}, "6.failed", "6.failed-on-error")
	c, _ := w.wrapped("", stack.DialOptions{})
	ask(c, "bad", "x", "status:500")
	c.Expect(`{"re":"bad","error":"failed","data":{"sorry":1}}`)
	c, _ = w.wrapped("/close", stack.DialOptions{})
	ask(c, "bad", "x", "status:500")
	c.Expect(`{"re":"bad","error":"failed"}`)
	c.ExpectClose(1011)
	c, _ = w.wrapped("/deaf", stack.DialOptions{})
	ask(c, "lost", "x")
	c.Expect(`{"re":"lost","error":"failed"}`)
}

func TestATextThatIsNoEnvelopeIsMalformed(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "6.malformed", "6.id", "2.close-codes-own")
	for text, want := range map[string]string{
		"hello":                  "not JSON",
		`["data"]`:               "not an object",
		`{"data":1}{"data":2}`:   "after the envelope",
		`{"data":1,"more":true}`: `"more"`,
		`{"data":1,"data":2}`:    "twice",
		`{"id":"k7"}`:            `"data"`,
		`{"id":7,"data":1}`:      "id",
		`{"id":"a b","data":1}`:  "id",
		`{"id":"` + strings.Repeat("x", 65) + `","data":1}`: "id",
	} {
		c, _ := w.wrapped("", stack.DialOptions{})
		ask(c, "first", "x")
		c.Send(text)
		c.Expect(`{"re":"first","data":"x"}`)
		if reason := c.ExpectClose(4400); !strings.Contains(reason, want) {
			t.Errorf("%.80s: closed for %q, want %q", text, reason, want)
		}
	}
	for _, e := range w.trace.Of("message") {
		equal(t, "PHP was called with", string(e.Body), "\n\nx")
	}
}

func TestAPageGetsSignsOfLife(t *testing.T) {
	w := start(t, setup{script: "chatty.php", options: stack.GatewayOptions{Limits: "ping_interval = \"100ms\"\ncontrol_rate = 0\nidle = \"2s\""}}, "6.sign", "6.sign-idle", "6.hello")
	c, first := w.wrapped("", stack.DialOptions{})
	equal(t, "ping", first.Ping, 0.1)
	began := time.Now()
	for range 5 {
		c.Expect("{}")
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("five signs of life within %v, want half a second", took)
	}
	f, open := c.NextOrEnd()
	for ; open && string(f.Data) == "{}"; f, open = c.NextOrEnd() {
	}
	if open {
		t.Fatalf("got %s, want the end", f)
	}
	c.ExpectClose(1001)
}
