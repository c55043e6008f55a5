package contract

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// quiet is how long a test listens for a message that must not come.
const quiet = 150 * time.Millisecond

// say sends chatty.php the headers and the body that it shall answer with.
func say(c *stack.Client, body string, headers ...string) {
	c.Send(strings.Join(headers, "\n") + "\n\n" + body)
}

// settle proves that everything sent before has been handled: the answer to its
// own message comes next.
func settle(t *testing.T, c *stack.Client) {
	t.Helper()
	say(c, "sync")
	c.Expect("sync")
}

func TestEchoIsOneMessage(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "2.echo", "2.binary")
	c := w.open()
	say(c, "grüß dich")
	c.Expect("grüß dich")
	for _, media := range []string{"application/octet-stream", "application/x-msgpack", "image/png", "audio/ogg", "video/mp4; a=b", "Application/Octet-Stream"} {
		say(c, "\x01\x02", "Content-Type: "+media)
		c.ExpectBinary([]byte{1, 2})
	}
	for _, media := range []string{"text/plain", "application/json", "text/html; charset=utf-8"} {
		say(c, "text", "Content-Type: "+media)
		c.Expect("text")
	}
}

func TestNothingIsSentForNothing(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "2.nothing", "2.bom")
	c := w.open()
	say(c, "")
	say(c, " \r\n\t ")
	say(c, "\n")
	say(c, "body of a 204", "status:204")
	say(c, "\uFEFF \n")
	say(c, "\uFEFFtext")
	c.Expect("text")
	say(c, "\uFEFFtext")
	c.Expect("text")
	say(c, " ")
	settle(t, c)
	w.Logged(t, 1, "", "byte order mark")
	w.Logged(t, 1, "", "blank")
}

func TestAnAcceptedHandshakeCarriesTheAnswersHeaders(t *testing.T) {
	w := start(t, setup{script: `
		foreach (['X-Mine: 1', 'Content-Language: de', 'Location: /x', 'Cache-Control: no-store', 'Expires: 0', 'Pragma: x', 'ETag: "e"', 'Date: x', 'Server: php',
			'Last-Modified: x', 'X-Accel-Redirect: /x', 'Sec-WebSocket-Extensions: x', 'Keep-Alive: x', 'WS-State: s', 'Set-Cookie: a=1'] as $h) header($h, false);
		header('Set-Cookie: b=2', false); http_response_code(201); echo 'first';`}, "2.accept", "2.accept-headers", "2.first-message", "1.cookie-browser")
	c := w.open()
	h := c.Response.Header
	equal(t, "X-Mine", h.Get("X-Mine"), "1")
	equal(t, "Set-Cookie", strings.Join(h["Set-Cookie"], "|"), "a=1|b=2")
	for _, name := range []string{"Content-Language", "Content-Type", "Location", "Cache-Control", "Expires", "Pragma", "ETag", "Last-Modified",
		"X-Accel-Redirect", "Sec-WebSocket-Extensions", "Keep-Alive", "WS-State", "Status", "Server"} {
		equal(t, name+" of the 101", h.Get(name), "")
	}
	if h.Get("Date") == "x" {
		t.Error("the answer's Date is on the 101")
	}
	c.Expect("first")
}

func TestARefusalIsPHPsOwnAnswer(t *testing.T) {
	w := start(t, setup{script: `
		http_response_code((int) $_GET['s']); header('X-Why: because'); header('WS-User: x'); header('Retry-After: 7'); header('Keep-Alive: x');
		header('Location: /login'); http_response_code((int) $_GET['s']); header('Content-Type: text/html'); echo 'no entry';`}, "2.refuse", "2.refuse-5xx")
	for _, status := range []int{302, 400, 401, 403, 404, 429} {
		got := w.refused(fmt.Sprint("?s=", status), stack.DialOptions{})
		equal(t, "status", got.Status, status)
		equal(t, "body", got.Body, "no entry")
		equal(t, "X-Why", got.Header.Get("X-Why"), "because")
		equal(t, "Location", got.Header.Get("Location"), "/login")
		equal(t, "Content-Type", strings.Split(got.Header.Get("Content-Type"), ";")[0], "text/html")
		equal(t, "Connection: close", got.Close, true)
		equal(t, "WS-User", got.Header.Get("WS-User"), "")
		equal(t, "Keep-Alive", got.Header.Get("Keep-Alive"), "")
	}
	for _, status := range []int{500, 503} {
		got := w.refused(fmt.Sprint("?s=", status), stack.DialOptions{})
		equal(t, "status", got.Status, status)
		equal(t, "Retry-After", got.Header.Get("Retry-After"), "7")
		if strings.Contains(got.Body, "no entry") || len(got.Body) > 200 {
			t.Errorf("body of a %d: got %q, want our own short one", status, got.Body)
		}
	}
}

func TestAConnectThatPHPFPMCannotAnswer(t *testing.T) {
	fpm := stack.FPM(t, stack.FPMOptions{NoINI: true, Children: 2})
	w := start(t, setup{script: `if (isset($_GET['sleep'])) { sleep(2); }`,
		scripts: map[string]string{"die.php": `header('X-A: b'); echo str_repeat('x', 100000); flush(); file_put_contents(__DIR__.'/pid', getmypid()); sleep(5);`},
		route:   `timeout = "300ms"`,
		options: stack.GatewayOptions{FPM: fpm, FPMLines: "max_connections = 1\nqueue_wait = \"100ms\"\nidle_timeout = \"0s\"",
			Routes: "[[route]]\npath = \"/ws/die\"\nscript = \"$DIR/die.php\"\n"}}, "2.fpm-down", "2.fpm-timeout", "2.fpm-busy", "2.queue-wait")
	equal(t, "timeout", w.refused("?sleep", stack.DialOptions{}).Status, 504)
	stack.Wait(t, "the pool to be free again", func() bool { return stack.Handshake(t, w.Listen, "/ws").Status == 101 })

	cut := make(chan stack.Refusal, 1)
	go func() { cut <- stack.Handshake(t, w.Listen, "/ws/die") }()
	stack.Wait(t, "the script that will be cut", func() bool { return pidFile(w.dir) != 0 })
	busy := w.refused("", stack.DialOptions{})
	equal(t, "queue full", busy.Status, 503)
	if busy.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After on a 503")
	}
	fpm.KillWorker(t, pidFile(w.dir))
	equal(t, "cut", (<-cut).Status, 502)
	fpm.Stop()
	equal(t, "unreachable", w.refused("", stack.DialOptions{}).Status, 502)
}

func TestA1xxIsAHandlerError(t *testing.T) {
	w := start(t, setup{script: `header('HTTP/1.1 101 Switching Protocols'); header('Status: 101 x'); header('Upgrade: x');`}, "2.status-1xx")
	equal(t, "status", w.refused("", stack.DialOptions{}).Status, 502)
}

func TestSubprotocols(t *testing.T) {
	w := start(t, setup{script: `if (isset($_GET['p'])) header("WS-Protocol: {$_GET['p']}");`, route: `protocols = ["v3", "v2"]`},
		"2.protocol", "2.protocol-not-offered", "2.protocol-default")
	for query, want := range map[string]string{"?p=v1": "v1", "": "v2"} {
		c := w.dial(query, stack.DialOptions{Protocols: []string{"v1", "v2"}})
		equal(t, "agreed protocol with "+query, c.Conn.Subprotocol(), want)
	}
	c := w.dial("", stack.DialOptions{Protocols: []string{"other"}})
	equal(t, "no common protocol", c.Conn.Subprotocol(), "")
	equal(t, "not offered", w.refused("?p=v9", stack.DialOptions{Protocols: []string{"v1"}}).Status, 502)
}

func TestUserChannelsAndState(t *testing.T) {
	w := start(t, setup{script: `
		if ($_SERVER['WS_EVENT'] === 'message') {
			foreach (array_filter(explode("\n", file_get_contents('php://input')), 'strlen') as $h) header($h, false);
			echo implode('|', [$_SERVER['WS_USER'], $_SERVER['WS_CHANNELS'], $_SERVER['WS_STATE']]);
		}`}, "2.user", "2.user-empty", "2.join-leave", "2.state", "2.state-limit")
	c := w.open()
	big := strings.Repeat("s", 8<<10)
	for _, step := range []struct{ send, now string }{
		{"WS-User: 42\nWS-Join: a, b\nWS-State: one", "||"},
		{"", "42|a,b|one"},
		{"WS-User: 43\nWS-Leave: a", "42|a,b|one"},
		{"WS-State: \nWS-Join: c", "43|b|one"},
		{"WS-User:\nWS-Leave: *", "43|b,c|"},
		{"WS-Leave: *\nWS-Join: d", "||"},
		{"WS-State: " + big, "|d|"},
		{"WS-State: ", "|d|" + big},
	} {
		c.Send(step.send)
		c.Expect(step.now)
	}
	c.Send("WS-State: " + big + "s")
	c.Send("")
	c.Expect("|d|")
}

func TestCloseSendsTheBodyFirst(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "2.close", "2.close-codes", "2.close-reason")
	for _, code := range []int{1000, 1001, 1008, 1011, 1012, 1013, 3000, 4001, 4999} {
		c := w.open()
		say(c, "good-bye", fmt.Sprintf("WS-Close: %d go away", code))
		c.Expect("good-bye")
		equal(t, "reason", c.ExpectClose(code), "go away")
	}
	for _, bad := range []string{"1005", "1006", "1015", "999", "2000", "5000", "x", ""} {
		c := w.open()
		say(c, "never", "WS-Close: "+bad)
		settle(t, c)
	}
	c := w.open()
	say(c, "", "WS-Close: 4000 "+strings.Repeat("ü", 100))
	equal(t, "reason", c.ExpectClose(4000), strings.Repeat("ü", 61))
}

func TestPublishGoesToOthersInstead(t *testing.T) {
	for _, redis := range []bool{false, true} {
		t.Run(fmt.Sprint("redis ", redis), func(t *testing.T) {
			w := start(t, setup{script: "chatty.php", redis: redis}, "2.publish", "2.publish-local")
			a := w.dial("?h[]=WS-Join:a", stack.DialOptions{})
			b := w.dial("?h[]=WS-User:7&h[]=WS-Join:a", stack.DialOptions{})
			say(a, "to both", "WS-Publish: channel:a, user:7")
			a.Expect("to both")
			b.Expect("to both")
			say(a, "to the other", "WS-Publish: channel:a; except=self")
			b.Expect("to the other")
			say(a, "\x01\x02", "WS-Publish: user:7", "Content-Type: application/octet-stream")
			b.ExpectBinary([]byte{1, 2})
			settle(t, a)
			b.ExpectNothing(quiet)
		})
	}
}

func TestAnAnswerOfCommands(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "2.commands", "4.self", "4.to")
	const media = "Content-Type: application/vnd.wsfpm+json"
	a := w.dial("?h[]=WS-User:1", stack.DialOptions{})
	b := w.dial("?h[]=WS-User:2", stack.DialOptions{})
	say(a, `{"data":"one"}`, media)
	a.Expect("one")
	say(a, `[{"to":"user:2","data":"two"},{"data":"three"}]`, media)
	a.Expect("three")
	b.Expect("two")
	list := "[" + strings.Repeat(`{"data":"x"},`, 999) + `{"data":"last"}]`
	say(a, list, media)
	for range 999 {
		a.Expect("x")
	}
	a.Expect("last")
	say(a, "["+strings.Repeat(`{"data":"x"},`, 1000)+`{"data":"last"}]`, media)
	settle(t, a)
}

func TestDisconnectsAnswerReachesOthersOnly(t *testing.T) {
	w := start(t, setup{script: `
		if ($_SERVER['WS_EVENT'] === 'connect') { header('WS-Join: room'); }
		if ($_SERVER['WS_EVENT'] === 'disconnect') { header('WS-Publish: channel:room'); header('WS-User: ghost'); header('WS-Close: 1000'); echo 'one left'; }`,
	}, "2.disconnect-answer")
	a, b := w.open(), w.open()
	a.Close(1000, "")
	b.Expect("one left")
	b.ExpectNothing(quiet)
}

func TestOurOwnRefusals(t *testing.T) {
	w := start(t, setup{script: "echo.php", route: `origins = ["https://example.com"]`}, "2.no-route", "2.no-upgrade", "2.foreign-origin", "5.origins", "5.no-origin")
	equal(t, "no route", stack.Handshake(t, w.Listen, "/nowhere").Status, 404)
	equal(t, "no upgrade", stack.HTTP(t, "GET", w.URL+"/ws", nil).Status, 426)
	for _, origin := range []string{"https://evil.example", "null", "http://example.com", "https://example.com.evil", "https://sub.example.com", "https://example.com:444"} {
		equal(t, origin, w.refused("", stack.DialOptions{Origin: origin}).Status, 403)
	}
	w.dial("", stack.DialOptions{Origin: "https://example.com"})
	w.open()
	equal(t, "connect of a foreign origin", w.Running(), true)
}

func TestOriginOfTheSameHostIsTheDefault(t *testing.T) {
	w := start(t, setup{script: "echo.php", options: stack.GatewayOptions{Routes: `
[[route]]
path = "/any"
script = "$DIR/echo.php"
origins = ["*"]
[[route]]
path = "/must"
script = "$DIR/echo.php"
require_origin = true
`}}, "5.origins", "5.no-origin", "2.foreign-origin")
	w.dial("", stack.DialOptions{Origin: "http://" + w.Listen})
	equal(t, "foreign", w.refused("", stack.DialOptions{Origin: "http://evil.example"}).Status, 403)
	stack.Dial(t, w.URL+"/any", stack.DialOptions{Origin: "http://evil.example"})
	equal(t, "none, but required", stack.Refused(t, w.URL+"/must", stack.DialOptions{}).Status, 403)
	stack.Dial(t, w.URL+"/must", stack.DialOptions{Header: http.Header{"Origin": {"http://" + w.Listen}}})
}
