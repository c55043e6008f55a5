package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
	"wsfpm/session"
	"wsfpm/test/fcgitest"
)

func TestMessagesAreEchoedInOrder(t *testing.T) {
	h := start(t, echo, nil)
	p := h.dial("/", nil)
	for i := range 20 {
		p.send(strconv.Itoa(i))
	}
	for i := range 20 {
		p.want(strconv.Itoa(i))
	}
	_ = p.Conn.Close(4000, "done")
	eventually(t, "disconnect", func() bool { return len(h.seen("disconnect")) == 1 })
	end := h.seen("disconnect")[0]
	if end["WS_CLOSE_CODE"] != "4000" || end["WS_CLOSE_REASON"] != "done" {
		t.Errorf("disconnect: got %v", end)
	}
	messages := h.seen("message")
	for number, e := range slices.Concat(h.seen("connect"), messages, []map[string]string{end}) {
		if _, got, _ := strings.Cut(e["WS_REQUEST_ID"], ":"); got != strconv.Itoa(number) {
			t.Errorf("event %d has the id %q", number, e["WS_REQUEST_ID"])
		}
	}
	if got := messages[19]; got["WS_SEQ"] != "20" || got["WS_OPCODE"] != "text" || got["REQUEST_METHOD"] != "POST" || got["CONTENT_LENGTH"] != "2" {
		t.Errorf("message 20: got %v", got)
	}
}

func TestConnectAnswersComeFirst(t *testing.T) {
	h := start(t, func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] == "connect" {
			return "WS-User: 42\r\nWS-Join: lobby\r\nSet-Cookie: sid=1\r\nX-Seen: yes\r\nWS-State: s", "hello"
		}
		return "Content-Type: text/plain", params["WS_USER"] + " " + params["WS_CHANNELS"] + " " + params["HTTP_COOKIE"] + " " + params["WS_STATE"]
	}, nil)
	conn, answer, err := websocket.Dial(t.Context(), h.url, &websocket.DialOptions{HTTPHeader: http.Header{"Cookie": {"a=b"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	p := &peer{conn, t}
	p.want("hello")
	p.send("who am I")
	p.want("42 lobby a=b; sid=1 s")
	if got := answer.Header; got.Get("Set-Cookie") != "sid=1" || got.Get("X-Seen") != "yes" || got.Get("Ws-User") != "" {
		t.Errorf("101: got %v", got)
	}
}

func TestConnectRefusals(t *testing.T) {
	for _, test := range []struct {
		header, body string
		status       int
		want         string
	}{
		{"Status: 401 Unauthorized\r\nX-Why: you", "log in first", 401, "log in first"},
		{"Status: 302 Found\r\nLocation: /login", "", 302, ""},
		{"Status: 500 Oops", "secret", 500, "Internal Server Error\n"},
		{"Status: 101 Switching Protocols\r\nUpgrade: websocket", "", 502, "Bad Gateway\n"},
		{"Content-Type: text/html", "<br />\n<b>Fatal error</b>:  Uncaught Error: x in /srv/ws.php:3\n  thrown in <b>/srv/ws.php</b> on line <b>3</b><br />\n", 502, "Bad Gateway\n"},
		{"WS-Nonsense: 1", "", 502, "Bad Gateway\n"},
		{"WS-Protocol: never-offered", "", 502, "Bad Gateway\n"},
	} {
		h := start(t, func(map[string]string, string) (string, string) { return test.header, test.body }, nil)
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		_, answer, err := websocket.Dial(t.Context(), h.url, &websocket.DialOptions{HTTPClient: client})
		if err == nil || answer == nil || answer.StatusCode != test.status {
			t.Errorf("%q: got %v, %v, want status %d", test.header, answer, err, test.status)
			continue
		}
		body := make([]byte, 100)
		n, _ := answer.Body.Read(body)
		if string(body[:n]) != test.want || answer.Header.Get("Connection") != "close" && !answer.Close {
			t.Errorf("%q: got %q, %v", test.header, body[:n], answer.Header)
		}
		if len(h.seen("disconnect")) != 0 {
			t.Errorf("%q: a refused client was disconnected", test.header)
		}
	}
}

func TestPushesReachAddresses(t *testing.T) {
	h := start(t, func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] == "message" {
			return "WS-Publish: channel:lobby; except=self", params["WS_USER"] + ": " + body
		}
		return "WS-User: " + params["QUERY_STRING"] + "\r\nWS-Join: lobby", "ready"
	}, nil)
	ann, bob := h.dial("/?ann", nil), h.dial("/?bob", nil)
	ann.want("ready")
	bob.want("ready")
	ann.send("hi")
	bob.want("ann: hi")
	commands, _, err := session.Decode([]byte(`[{"to":["user:ann","channel:lobby"],"data":"all"},{"to":"user:bob","leave":"lobby","data":"out"}]`), session.FromPush)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := h.Push(t.Context(), commands); n != 3 || err != nil {
		t.Errorf("push: delivered %d, %v, want 3", n, err)
	}
	ann.want("all")
	bob.want("all")
	bob.want("out")
	bob.send("anyone")
	ann.want("bob: anyone")
	commands, _, _ = session.Decode([]byte(`{"to":"all","close":{"code":4001}}`), session.FromPush)
	_, _ = h.Push(t.Context(), commands)
	ann.wantClose(4001)
	bob.wantClose(4001)
	eventually(t, "both are gone", func() bool { return h.hub.Len() == 0 })
}

func TestFailedEventsByOnError(t *testing.T) {
	fatal := func(params map[string]string, body string) (string, string) {
		if body == "bad" {
			return "Status: 500 Oops\r\nWS-User: evil", "secret"
		}
		return "Content-Type: text/plain", params["WS_USER"] + body
	}
	t.Run("keep", func(t *testing.T) {
		p := start(t, fatal, nil).dial("/", nil)
		p.send("bad")
		p.send("good")
		p.want("good")
	})
	t.Run("message", func(t *testing.T) {
		p := start(t, fatal, func(c *config.Config) { c.Routes[0].OnError, c.Routes[0].ErrorMessage = "message", "sorry" }).dial("/", nil)
		p.send("bad")
		p.want("sorry")
	})
	t.Run("close", func(t *testing.T) {
		p := start(t, fatal, func(c *config.Config) { c.Routes[0].OnError = "close" }).dial("/", nil)
		p.send("bad")
		p.wantClose(1011)
	})
}

func TestStreamArrivesLineByLine(t *testing.T) {
	lines := make(chan string)
	fpm := func(w *fcgitest.Writer, r *fcgitest.Request) {
		if r.Params["WS_EVENT"] != "message" {
			w.Stdout("Content-Type: text/plain\r\n\r\n")
			return
		}
		w.Stdout("Content-Type: application/x-ndjson\r\nWS-Join: tail\r\n\r\n")
		for line := range lines {
			w.Stdout(line)
		}
	}
	s := startServer(t, fpm)
	p := s.dial("/", nil)
	p.send("go")
	for i := range 3 {
		lines <- fmt.Sprintf("{\"n\":%d}\nrest", i)
		prefix := "rest"
		if i == 0 {
			prefix = ""
		}
		p.want(fmt.Sprintf("%s{\"n\":%d}", prefix, i))
	}
	close(lines)
	p.want("rest")
	p.send("again") // the stream is over: the next event runs
}

func TestUpgradeRequestsOnly(t *testing.T) {
	t.Log("contract-row: 2.version")
	h := start(t, echo, nil)
	for _, test := range []struct {
		change func(*http.Request)
		status int
	}{
		{func(r *http.Request) { r.Header.Del("Upgrade") }, 426},
		{func(r *http.Request) { r.Header.Set("Upgrade", "h2c") }, 426},
		{func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") }, 426},
		{func(r *http.Request) {
			r.Header.Set("Sec-WebSocket-Version", "8")
			r.Header.Set("Origin", "http://evil.test")
		}, 403},
		{func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "short") }, 400},
		{func(r *http.Request) { r.Method = "POST" }, 405},
		{func(r *http.Request) { r.Header.Set("Origin", "http://evil.test") }, 403},
	} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", h.web.URL, nil)
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
		test.change(r)
		answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != test.status {
			t.Errorf("%v: status %d, want %d", r.Header, answer.StatusCode, test.status)
		}
	}
	if len(h.seen("connect")) != 0 {
		t.Error("PHP was asked about a handshake that is none")
	}
}

func TestWholeGatewayOverAUnixSocket(t *testing.T) {
	h := start(t, func(params map[string]string, _ string) (string, string) {
		return "Content-Type: text/plain", params["REMOTE_ADDR"] + " " + params["HTTPS"] + " " + params["SERVER_PORT"]
	}, nil)
	listener, err := net.Listen("unix", t.TempDir()+"/ws.sock")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h.Gateway}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", listener.Addr().String())
	}}}
	conn, _, err := websocket.Dial(t.Context(), "ws://example.test/", &websocket.DialOptions{HTTPClient: client,
		HTTPHeader: http.Header{"X-Forwarded-For": {"198.51.100.7"}, "X-Forwarded-Proto": {"https"}, "Origin": {"https://example.test"}}})
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{conn, t}
	p.want("198.51.100.7 on 443")
	_ = conn.CloseNow()
}

// A client that sends and closes at once has its answer before the Close frame.
func TestAnAnswerGoesOutBeforeTheCloseOfAClientThatWaits(t *testing.T) {
	h := start(t, echo, nil)
	c, err := net.Dial("tcp", h.web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"+
		"\x81\x82\x00\x00\x00\x00hi\x88\x82\x00\x00\x00\x00\x03\xe8")
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	got, _ := io.ReadAll(c)
	if _, frames, _ := strings.Cut(string(got), "\r\n\r\n"); frames != "\x81\x02hi\x88\x02\x03\xe8" {
		t.Errorf("got %q, want the echo, then the Close frame", frames)
	}
}
