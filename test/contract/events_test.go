package contract

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsfpm/test/stack"
)

func TestConnectIsTheRealHandshakeRequest(t *testing.T) {
	w := start(t, setup{script: "dump.php"}, "1.one-request", "1.connect-when", "1.connect-once", "1.connect-method",
		"1.connect-body", "1.connect-type", "1.ws-protocols")
	c := w.dial("?a=1&b=x%20y", stack.DialOptions{Protocols: []string{"v1", "v2"}})
	e := c.NextEvent()
	equal(t, "WS_EVENT", e.Var("WS_EVENT"), "connect")
	equal(t, "REQUEST_METHOD", e.Var("REQUEST_METHOD"), "GET")
	equal(t, "body", string(e.Body), "")
	equal(t, "CONTENT_TYPE present", e.Has("CONTENT_TYPE") && e.Var("CONTENT_TYPE") != "", false)
	equal(t, "WS_PROTOCOLS without spaces", strings.ReplaceAll(e.Var("WS_PROTOCOLS"), " ", ""), "v1,v2")
	equal(t, "FCGI_ROLE", e.Var("FCGI_ROLE"), "RESPONDER")
	c.Send("x")
	c.NextEvent()
	equal(t, "connect events", len(w.trace.Of("connect")), 1)
}

func TestConnectIsAskedBeforeTheUpgrade(t *testing.T) {
	w := start(t, setup{script: `http_response_code(403); echo 'no';`}, "1.connect-when")
	if got := w.refused("", stack.DialOptions{}); got.Status != 403 || got.Body != "no" {
		t.Errorf("got %d %q, want 403 no", got.Status, got.Body)
	}
}

func TestConnectIsNotSentWhenTheClientLeftWhileItWaited(t *testing.T) {
	w := start(t, setup{script: `while (isset($_GET['hold']) && !file_exists(__DIR__ . '/go')) { usleep(1000); clearstatcache(); }`,
		options: stack.GatewayOptions{FPMLines: "max_connections = 1"}}, "1.connect-cancelled")
	held := make(chan struct{})
	go func() {
		defer close(held)
		stack.Handshake(t, w.Listen, "/ws?hold=1")
	}()
	stack.Wait(t, "the held connect", func() bool { return w.Metric(t, "wsfpm_fpm_in_use") > 0 })
	waiting := func() float64 { return w.Metric(t, "wsfpm_fpm_waiting") }
	gone := stack.HalfHandshake(t, w.Listen, "/ws?gone=1")
	stack.Wait(t, "the next one to wait", func() bool { return waiting() == 1 })
	gone.Close()
	stack.Wait(t, "its leaving to be noticed", func() bool { return waiting() == 0 })
	stack.AddScript(t, w.dir, "go", "")
	<-held
	w.open() // its turn comes after the one that left
	for _, e := range w.trace.Of("connect") {
		if e.Get["gone"] != nil {
			t.Error("PHP was asked for a client that had left")
		}
	}
}

func TestMessageArrivesWholeAndByteForByte(t *testing.T) {
	w := start(t, setup{script: "dump.php"}, "1.message-whole", "1.message-once", "1.message-method", "1.message-body",
		"1.message-type", "1.ws-opcode-seq", "1.content-length")
	c := w.open()
	c.NextEvent()
	c.SendFragments(websocket.MessageText, []byte("gr"), []byte("üß"), nil, []byte(" an alle"))
	e := c.NextEvent()
	equal(t, "body", string(e.Body), "grüß an alle")
	equal(t, "REQUEST_METHOD", e.Var("REQUEST_METHOD"), "POST")
	equal(t, "CONTENT_TYPE", e.Var("CONTENT_TYPE"), "text/plain; charset=utf-8")
	equal(t, "CONTENT_LENGTH", e.Var("CONTENT_LENGTH"), strconv.Itoa(len("grüß an alle")))
	equal(t, "WS_OPCODE", e.Var("WS_OPCODE"), "text")
	equal(t, "WS_SEQ", e.Var("WS_SEQ"), "1")
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	c.SendBinary(all)
	e = c.NextEvent()
	equal(t, "body", string(e.Body), string(all))
	equal(t, "CONTENT_TYPE", e.Var("CONTENT_TYPE"), "application/octet-stream")
	equal(t, "WS_OPCODE", e.Var("WS_OPCODE"), "binary")
	equal(t, "WS_SEQ", e.Var("WS_SEQ"), "2")
	c.Send("")
	e = c.NextEvent()
	equal(t, "CONTENT_LENGTH of nothing", e.Var("CONTENT_LENGTH"), "0")
	equal(t, "WS_SEQ", e.Var("WS_SEQ"), "3")
	equal(t, "message events", len(w.trace.Of("message")), 3)
}

func TestEventsOfOneConnectionNeverOverlap(t *testing.T) {
	w := start(t, setup{script: "slow.php"}, "1.no-overlap")
	c := w.open()
	for _, ms := range []string{"60", "10", "0", "30"} {
		c.Send(ms)
	}
	c.Close(1000, "")
	w.trace.Await(t, "disconnect", 1)
	events := w.trace.Events()
	var order []string
	for i, e := range events {
		order = append(order, e.Var("WS_EVENT")+string(e.Body))
		if i > 0 && e.Begin < events[i-1].End {
			t.Errorf("event %d began before the one before it ended", i)
		}
	}
	equal(t, "order", strings.Join(order, " "), "connect message60 message10 message0 message30 disconnect")
}

func TestDisconnectHasItsReason(t *testing.T) {
	w := start(t, setup{script: `if ($_SERVER['WS_EVENT'] === 'message') { header('WS-Close: 4001 enough'); }`},
		"1.disconnect-when", "1.disconnect-once", "1.disconnect-method", "1.disconnect-body", "1.disconnect-type", "1.ws-close")
	cases := []struct {
		name string
		end  func(*stack.Client)
		code string
		why  string
	}{
		{"the client's code", func(c *stack.Client) { c.Close(3005, "bye, bye") }, "3005", "bye, bye"},
		{"no code", func(c *stack.Client) { c.Raw(stack.ClientFrame(0x88, nil)) }, "1005", ""},
		{"lost", func(c *stack.Client) { c.Cut() }, "1006", ""},
		{"ours", func(c *stack.Client) { c.Send("x"); c.ExpectClose(4001) }, "4001", "enough"},
	}
	for i, test := range cases {
		c := w.open()
		test.end(c)
		e := w.trace.Await(t, "disconnect", i+1)[i]
		equal(t, test.name+": WS_CLOSE_CODE", e.Var("WS_CLOSE_CODE"), test.code)
		equal(t, test.name+": WS_CLOSE_REASON", e.Var("WS_CLOSE_REASON"), test.why)
		equal(t, test.name+": REQUEST_METHOD", e.Var("REQUEST_METHOD"), "POST")
		equal(t, test.name+": body", len(e.Body), 0)
		equal(t, test.name+": CONTENT_TYPE", e.Var("CONTENT_TYPE"), "")
		if _, err := strconv.ParseFloat(e.Var("WS_DURATION"), 64); err != nil {
			t.Errorf("%s: WS_DURATION: %v", test.name, err)
		}
	}
}

func TestNoDisconnectForARefusedConnect(t *testing.T) {
	w := start(t, setup{script: `if (isset($_GET['no'])) { http_response_code(401); }`}, "1.disconnect-when")
	w.refused("?no", stack.DialOptions{})
	w.open().Close(1000, "")
	for _, e := range w.trace.Await(t, "disconnect", 1) {
		if _, refused := e.Get["no"]; refused {
			t.Error("a refused connect got a disconnect")
		}
	}
}

func TestDisconnectIsTriedAgainWhilePHPIsDown(t *testing.T) {
	fpm := stack.FPM(t, stack.FPMOptions{NoINI: true})
	w := start(t, setup{script: `header('WS-User: mia');`, options: stack.GatewayOptions{FPM: fpm, FPMLines: `idle_timeout = "0s"`}},
		"1.disconnect-retry")
	c := w.open()
	fpm.Stop()
	c.Close(1000, "")
	fpm.Start(t)
	e := w.trace.Await(t, "disconnect", 1)
	equal(t, "WS_USER", e[0].Var("WS_USER"), "mia")
	equal(t, "disconnect events", len(e), 1)
}

func TestADisconnectThatCannotBeSentIsLoggedAndCounted(t *testing.T) {
	fpm := stack.FPM(t, stack.FPMOptions{NoINI: true})
	w := start(t, setup{script: `header('WS-User: mia');`,
		options: stack.GatewayOptions{FPM: fpm, FPMLines: `idle_timeout = "0s"`, Top: `disconnect_retry = "300ms"`}}, "1.disconnect-retry")
	c := w.open()
	id := w.trace.Await(t, "connect", 1)[0].Var("WS_CONNECTION")
	fpm.Stop()
	c.Close(1000, "")
	w.AwaitLog(t, "", "mia", id, "disconnect")
	stack.Wait(t, "the count of lost disconnects", func() bool { return w.Metric(t, "wsfpm_disconnects_lost_total") == 1 })
}

func TestEveryEventIdentifiesItsClient(t *testing.T) {
	w := start(t, setup{script: `
		if ($_SERVER['WS_EVENT'] === 'connect') { header('WS-User: 42'); header('WS-Join: a, b'); header('WS-State: s=1'); }
		if ($_SERVER['WS_EVENT'] === 'message') { echo 'done'; }`, route: `protocols = ["v1"]`}, "1.identity", "1.request-id", "1.replay")
	before := time.Now().Unix()
	c := w.dial("?room=7", stack.DialOptions{Protocols: []string{"v1"}, Cookie: "k=v"})
	c.Send("x")
	c.Expect("done")
	c.Close(1000, "")
	w.trace.Await(t, "disconnect", 1)
	events := w.trace.Events()
	ids := map[string]bool{}
	for i, e := range events {
		for _, name := range []string{"WS_EVENT", "WS_CONNECTION", "WS_NODE", "WS_USER", "WS_CHANNELS", "WS_STATE", "WS_PROTOCOL", "WS_CONNECTED_AT"} {
			if i > 0 && e.Var(name) == "" || !e.Has(name) {
				t.Errorf("%s has no %s", e.Var("WS_EVENT"), name)
			}
		}
		equal(t, "WS_CONNECTION", e.Var("WS_CONNECTION"), events[0].Var("WS_CONNECTION"))
		equal(t, "REQUEST_URI", e.Var("REQUEST_URI"), "/ws?room=7")
		equal(t, "QUERY_STRING", e.Var("QUERY_STRING"), "room=7")
		equal(t, "$_GET[room]", e.Get["room"].(string), "7")
		equal(t, "$_COOKIE[k]", e.Cookie["k"], "v")
		equal(t, "REMOTE_ADDR", e.Var("REMOTE_ADDR"), "127.0.0.1")
		if id := e.Var("WS_REQUEST_ID"); !strings.HasPrefix(id, e.Var("WS_CONNECTION")) || ids[id] {
			t.Errorf("WS_REQUEST_ID %q does not begin with the connection's id, or came twice", id)
		}
		ids[e.Var("WS_REQUEST_ID")] = true
	}
	e := events[1]
	equal(t, "WS_USER", e.Var("WS_USER"), "42")
	equal(t, "WS_STATE", e.Var("WS_STATE"), "s=1")
	equal(t, "WS_PROTOCOL", e.Var("WS_PROTOCOL"), "v1")
	if got := e.Var("WS_CHANNELS"); got != "a,b" && got != "b,a" {
		t.Errorf("WS_CHANNELS: got %q, want a,b", got)
	}
	if at, _ := strconv.ParseInt(e.Var("WS_CONNECTED_AT"), 10, 64); at < before || at > time.Now().Unix() {
		t.Errorf("WS_CONNECTED_AT: got %d, want now", at)
	}
}

func TestTheRequestURIIsReplayedRaw(t *testing.T) {
	w := start(t, setup{script: "dump.php"}, "1.replay")
	c := w.dial("?q=%41%2f%2F+x&%zz", stack.DialOptions{})
	equal(t, "REQUEST_URI", c.NextEvent().Var("REQUEST_URI"), "/ws?q=%41%2f%2F+x&%zz")
}
