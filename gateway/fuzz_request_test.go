package gateway

import (
	"bufio"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wsfpm/gateway/config"
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
		c := &connection{offered: offeredProtocols([]string{offer}), rt: &route{Route: &config.Route{Protocols: []string{first, second}}}}
		got, err := c.agree(named)
		if err != nil || got == "" {
			return
		}
		if !slices.Contains(c.offered, got) || strings.ContainsAny(got, ",") || named != "" && got != named {
			t.Fatalf("offer %q, named %q: agreed on %q", offer, named, got)
		}
	})
}

// FuzzSameHost holds the origin rule against its definition: the same host and
// port, the default port being that of the origin's scheme.
func FuzzSameHost(f *testing.F) {
	for _, origin := range []string{"https://example.com", "HTTP://EXAMPLE.COM:80", "https://example.com:8443", "https://[::1]", "https://example.com.", "file://", "https://example.com\\@evil"} {
		f.Add(origin, "example.com", false)
	}
	f.Add("http://[::1]:80", "[::1]", false)
	f.Fuzz(func(t *testing.T, origin, host string, secure bool) {
		if strings.ContainsFunc(origin+host, func(r rune) bool { return r < 0x21 || r > 0x7e }) || strings.Contains(origin+host, "%") {
			return // no browser sends these
		}
		if !sameHost(origin, host, secure) {
			return
		}
		scheme, rest, _ := strings.Cut(strings.ToLower(origin), "://")
		port := map[string]string{"http": ":80", "https": ":443"}[scheme]
		plain := func(s string) string {
			return strings.NewReplacer("[", "", "]", "").Replace(strings.TrimSuffix(strings.ToLower(s), port))
		}
		if port == "" || secure && scheme != "https" || plain(rest) != plain(host) {
			t.Fatalf("origin %q passes for host %q, secure %v", origin, host, secure)
		}
	})
}
