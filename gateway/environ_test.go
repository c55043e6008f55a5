package gateway

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
	"wsfpm/session"
)

// ownParams are the parameters that PHP may get besides HTTP_….
var ownParams = []string{"GATEWAY_INTERFACE", "SERVER_PROTOCOL", "SERVER_SOFTWARE", "REDIRECT_STATUS", "REQUEST_URI", "QUERY_STRING",
	"SCRIPT_FILENAME", "SCRIPT_NAME", "DOCUMENT_URI", "DOCUMENT_ROOT", "WS_CONNECTION", "WS_NODE", "WS_CONNECTED_AT",
	"SERVER_NAME", "SERVER_ADDR", "SERVER_PORT", "REQUEST_SCHEME", "HTTPS", "REMOTE_ADDR", "REMOTE_PORT"}

// heldParams never reach PHP on the route of FuzzRequest.
var heldParams = []string{"HTTP_PROXY", "HTTP_REDIRECT_STATUS", "HTTP_CONNECTION", "HTTP_UPGRADE", "HTTP_TRANSFER_ENCODING", "HTTP_TE",
	"HTTP_TRAILER", "HTTP_KEEP_ALIVE", "HTTP_PROXY_AUTHORIZATION", "HTTP_SEC_WEBSOCKET_KEY", "HTTP_SEC_WEBSOCKET_VERSION",
	"HTTP_SEC_WEBSOCKET_EXTENSIONS", "HTTP_ACCEPT_ENCODING", "HTTP_RANGE", "HTTP_FORWARDED", "HTTP_X_REAL_IP",
	"HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_SERVER", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"}

// checkParams fails when a parameter is none that a client may have any part
// in, or has a value that only the gateway may give it.
func checkParams(t *testing.T, params map[string]string, peer string) {
	t.Helper()
	for name, value := range params {
		header, isHeader := strings.CutPrefix(name, "HTTP_")
		switch {
		case slices.Contains(heldParams, name):
			t.Fatalf("%s=%q reaches PHP", name, value)
		case isHeader && (header == "" || strings.Trim(header, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != ""):
			t.Fatalf("the name %q reaches PHP", name)
		case !isHeader && !slices.Contains(ownParams, name):
			t.Fatalf("%s=%q reaches PHP", name, value)
		case strings.ContainsAny(value, "\x00\r\n"):
			t.Fatalf("%s has the value %q", name, value)
		}
	}
	for name, want := range map[string]string{
		"SCRIPT_FILENAME": "/srv/ws.php", "SCRIPT_NAME": "/ws.php", "DOCUMENT_URI": "/ws.php", "DOCUMENT_ROOT": "/srv",
		"GATEWAY_INTERFACE": "CGI/1.1", "REDIRECT_STATUS": "200", "SERVER_SOFTWARE": "wsfpm",
	} {
		if params[name] != want {
			t.Fatalf("%s is %q, want %q", name, params[name], want)
		}
	}
	if _, err := netip.ParseAddr(params["REMOTE_ADDR"]); err != nil {
		t.Fatalf("REMOTE_ADDR: %v", err)
	}
	if peer == "203.0.113.9:1" && (params["REMOTE_ADDR"] != "203.0.113.9" || params["HTTPS"] != "") {
		t.Fatalf("an untrusted peer became %s, HTTPS %q", params["REMOTE_ADDR"], params["HTTPS"])
	}
}

// FuzzRequest sends any bytes as a handshake, and checks all that PHP would be
// told: on connect, and after a cookie has changed.
func FuzzRequest(f *testing.F) {
	const good = "Host: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, more := range []string{
		"", "Proxy: http://evil\r\nRedirect-Status: 500\r\n", "X_Forwarded_For: 1.2.3.4\r\nWS_USER: root\r\nWs-User: root\r\n",
		"X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 1.2.3.4\r\n", "Cookie: a=1\r\nCookie: b=2\r\nOrigin: http://example.com\r\n",
		"Content-Type: a/b\r\nIf-None-Match: x\r\nRange: bytes=0-1\r\nAccept-Encoding: br\r\n", "Connection: X-Secret\r\nX-Secret: 1\r\n",
		"X-Folded: a\r\n\tb\r\n", ": no name\r\n", "X-\xff: a\r\n", "Sec-WebSocket-Protocol: a, b,,c\r\nSec-WebSocket-Extensions: x\r\n",
	} {
		f.Add([]byte("GET /?a=1&b HTTP/1.1\r\n"+good+more+"\r\n"), true, "sid=1")
	}
	f.Add([]byte("GET http://other/%0a/..//x.php/y?%00 HTTP/1.1\r\n"+good+"\r\n"), false, "a=b; Max-Age=0")
	f.Add([]byte("GET /\xff?\x7f HTTP/1.1\r\n"+good+"\r\n"), false, "")
	h := start(f, echo, func(c *config.Config) { c.Limits.AcceptRate = 0 })
	f.Fuzz(func(t *testing.T, raw []byte, trusted bool, setCookie string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(raw))))
		if err != nil {
			return
		}
		if r.RemoteAddr = "203.0.113.9:1"; trusted {
			r.RemoteAddr = "127.0.0.1:1"
		}
		c, passed, err := h.receive(r)
		if err != nil {
			return
		}
		defer c.release(cause{})
		if c.prepare(r, passed) != nil {
			return
		}
		params := c.env.Params()
		checkParams(t, params, r.RemoteAddr)
		before := params["HTTP_COOKIE"]
		c.keepCookies([]string{setCookie})
		checkParams(t, c.env.Params(), r.RemoteAddr)
		if after := c.env.Params(); strings.TrimSpace(setCookie) == "" && after["HTTP_COOKIE"] != before {
			t.Fatalf("no cookie was set, and Cookie went from %q to %q", before, after["HTTP_COOKIE"])
		}
	})
}

// FuzzRoute looks scripts up by any host and path: none but the configured ones
// is ever found.
func FuzzRoute(f *testing.F) {
	for _, path := range []string{"/ws/chat", "/ws/chat.php", "/ws/../secret", "/ws/CHAT", "/ws/link", "/fixed", "/fixed/", "/ws/", "/ws/chat%00", "/ws//chat", "/ws/folder"} {
		f.Add("example.com:80", path)
	}
	dir := f.TempDir()
	root := filepath.Join(dir, "root")
	for _, file := range []string{"root/chat.php", "root/folder.php/x.php", "secret.php"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755); err != nil {
			f.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o644); err != nil {
			f.Fatal(err)
		}
	}
	if err := os.Symlink("../secret.php", filepath.Join(root, "link.php")); err != nil {
		f.Fatal(err)
	}
	s := routes(f,
		&config.Route{Path: "/fixed", Script: "/srv/fixed.php", Host: []string{"example.com"}},
		&config.Route{Path: "/ws/" + config.ScriptVar, Root: root, ResolveRoot: true},
	)
	f.Fuzz(func(t *testing.T, host, path string) {
		rt, named := s.find(host, path)
		script := named.script
		switch {
		case rt == nil && script == "":
		case rt == s.routes[0] && script == "/srv/fixed.php" && path == "/fixed" && strings.EqualFold(hostName(host), "example.com"):
		case rt == s.routes[1] && script == filepath.Join(root, "chat.php") && path == "/ws/chat":
		default:
			t.Fatalf("host %q and path %q run %q", host, path, script)
		}
	})
}

// FuzzProtocols agrees on subprotocols: only on what was offered.
func FuzzProtocols(f *testing.F) {
	f.Add("v2, v1", "", "v1", "v2")
	f.Add(",, v1,", "v1", "v3", "")
	f.Fuzz(func(t *testing.T, offer, named, first, second string) {
		c := &connection{arriving: &arriving{offered: offeredProtocols([]string{offer})}, rt: &route{Route: &config.Route{Protocols: []string{first, second}}}}
		got, err := c.agree(named)
		if err != nil || got == "" {
			return
		}
		if !slices.Contains(c.arriving.offered, got) || strings.ContainsAny(got, ",") || named != "" && got != named {
			t.Fatalf("offer %q, named %q: agreed on %q", offer, named, got)
		}
	})
}

func TestHeadersForPHP(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{
		"Cookie": {"a=1", "b=2"}, "User-Agent": {"x"}, "Authorization": {"Bearer x"}, "X-Custom": {"1", "2"}, "Origin": {"http://a"},
		"Proxy": {"evil"}, "X_real_ip": {"evil"}, "X-Real-Ip": {"evil"}, "Accept-Encoding": {"gzip"}, "If-None-Match": {"x"},
		"Content-Type": {"x"}, "Content-Length": {"5"}, "Range": {"x"}, "Forwarded": {"x"}, "X-Forwarded-Host": {"x"}, "Redirect-Status": {"200"},
		"X-Forwarded-For": {"x"}, "Connection": {"Upgrade, X-Hop"}, "X-Hop": {"x"}, "Sec-Websocket-Key": {"x"}, "Sec-Websocket-Protocol": {"v1"},
		"Te": {"trailers"}, "Weird\xff": {"x"},
	}
	rt := &route{Route: &config.Route{PassHeaders: []string{"x-real-ip", "proxy"}}}
	passed, refused := passedHeaders(r, rt, &client{})
	if refused != nil {
		t.Fatal(refused)
	}
	want := map[string]bool{"Cookie": true, "User-Agent": true, "Authorization": true, "X-Custom": true, "Origin": true, "X-Real-Ip": true, "Sec-Websocket-Protocol": true}
	for name := range r.Header {
		if _, got := passed[name]; got != want[name] {
			t.Errorf("%s reaches PHP: %v, want %v", name, got, want[name])
		}
	}
	if got := passed.Values("Cookie"); len(got) != 1 || got[0] != "a=1; b=2" {
		t.Errorf("cookies: got %q", got)
	}
	if passed, _ := passedHeaders(r, rt, &client{trusted: true}); passed["X-Forwarded-For"] == nil {
		t.Error("a trusted proxy's X-Forwarded-For does not reach PHP")
	}
	r.Header.Set("X-Bad", "a\nb")
	if _, refused := passedHeaders(r, rt, &client{}); refused == nil || refused.status != http.StatusBadRequest {
		t.Errorf("a line feed in a value: got %v", refused)
	}
}

// FuzzHandshake checks that no header of a handshake gets past passedHeaders
// into a parameter that clients may not set.
func FuzzHandshake(f *testing.F) {
	f.Add("X-Real-IP", "1.2.3.4", "v1, v2")
	f.Add("Proxy", "http://evil", "")
	f.Add("X_Forwarded_For", "a\x00b", ",,")
	f.Fuzz(func(t *testing.T, name, value, protocols string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = http.Header{http.CanonicalHeaderKey(name): {value}}
		offeredProtocols([]string{protocols})
		passed, refused := passedHeaders(r, &route{Route: &config.Route{}}, &client{})
		if refused != nil {
			return
		}
		for name, values := range passed {
			param := "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
			if param == "HTTP_PROXY" || !isHeaderName(name) || strings.ContainsAny(values[0], "\x00\r\n") {
				t.Fatalf("%s: %q reaches PHP as %s", name, values[0], param)
			}
		}
	})
}

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
