package contract

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

const sessionScript = `
session_start();
$_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
if ($_SERVER['WS_EVENT'] === 'message') {
	switch (file_get_contents('php://input')) {
	case 'delete': setcookie('pref', '', 1); break;
	case 'age': header('Set-Cookie: late=; Max-Age=0', false); break;
	case 'set': setcookie('late', 'yes'); break;
	case 'huge': for ($i = 0; $i < 30; $i++) { setcookie("huge$i", str_repeat('x', 1000)); } break;
	}
} else {
	setcookie('pref', 'blue');
}
echo json_encode(['n' => $_SESSION['n'], 'id' => session_id(), 'cookies' => (object) $_COOKIE]);`

type sessionAnswer struct {
	N       int
	ID      string
	Cookies map[string]string
}

func (w *world) session(c *stack.Client) sessionAnswer {
	w.t.Helper()
	return decode[sessionAnswer](w.t, c.Next().Data)
}

func TestCookiesLiveInAJarPerConnection(t *testing.T) {
	w := start(t, setup{script: sessionScript}, "1.cookie-jar", "1.cookie-delete", "1.cookie-browser", "1.replay")
	c := w.dial("", stack.DialOptions{Cookie: "theme=dark"})
	first := w.session(c)
	if got := strings.Join(c.Response.Header["Set-Cookie"], ";"); !strings.Contains(got, "PHPSESSID=") || !strings.Contains(got, "pref=blue") {
		t.Errorf("Set-Cookie of the 101: got %q, want PHPSESSID and pref", got)
	}
	c.Send("set")
	second := w.session(c)
	equal(t, "session's count", second.N, 2)
	equal(t, "session id", second.ID, first.ID)
	equal(t, "the handshake's own cookie", second.Cookies["theme"], "dark")
	equal(t, "a cookie set on connect", second.Cookies["pref"], "blue")
	c.Send("delete")
	equal(t, "a cookie set on a message", w.session(c).Cookies["late"], "yes")
	c.Send("age")
	_, still := w.session(c).Cookies["pref"]
	equal(t, "a cookie with an old Expires is there", still, false)
	c.Send("x")
	third := w.session(c)
	_, still = third.Cookies["late"]
	equal(t, "a cookie with Max-Age=0 is there", still, false)
	other := w.open()
	if w.session(other).ID == first.ID {
		t.Error("another connection has the first one's session")
	}
	w.Logged(t, 1, "", "cookie")
}

func TestEveryFormOfAnOldDateDeletesACookie(t *testing.T) {
	w := start(t, setup{script: `
		switch (file_get_contents('php://input')) {
		case '': foreach (range(0, 4) as $i) { setcookie("c$i", '1'); } exit;
		case 'delete': foreach ([DATE_COOKIE, DATE_RFC850, DATE_RFC1123, DATE_RFC1036, 'D M j H:i:s Y'] as $i => $form) {
			header("Set-Cookie: c$i=; EXPIRES = " . gmdate($form, 1), false);
		}}
		echo 'cookies: ' . implode(',', array_keys($_COOKIE));`}, "1.cookie-delete")
	c := w.open()
	c.Send("delete")
	c.Expect("cookies: c0,c1,c2,c3,c4")
	c.Send("which")
	c.Expect("cookies: ")
}

func TestTheJarHolds16KiB(t *testing.T) {
	w := start(t, setup{script: sessionScript}, "1.cookie-limit")
	c := w.open()
	w.session(c)
	c.Send("huge")
	w.session(c)
	c.Send("x")
	size := 0
	for name, value := range w.session(c).Cookies {
		size += len(name) + len(value)
	}
	if size > 16<<10 {
		t.Errorf("PHP got %d bytes of cookies, want at most 16 KiB", size)
	}
}

func TestACookieOfAFailureIsNotKept(t *testing.T) {
	w := start(t, setup{script: `
		if ($_SERVER['WS_EVENT'] === 'message' && file_get_contents('php://input') === 'fail') { setcookie('bad', '1'); http_response_code(500); }
		echo json_encode($_COOKIE ?: new stdClass);`}, "1.cookie-jar")
	c := w.open()
	c.Expect("{}")
	c.Send("fail")
	c.Send("x")
	c.Expect("{}")
}

func TestParametersThatFrameworksNeed(t *testing.T) {
	w := start(t, setup{script: "dump.php", scripts: map[string]string{"app/public/ws.php": "require dirname(__DIR__, 2) . '/dump.php';"},
		options: stack.GatewayOptions{Routes: "[[route]]\npath = \"/deep\"\nscript = \"$DIR/app/public/ws.php\"\ndocument_root = \"$DIR/app\"\n\n"}},
		"1.script", "1.server", "1.content-length")
	e := w.open().NextEvent()
	path := filepath.Join(w.dir, "dump.php")
	host, port, _ := strings.Cut(w.Listen, ":")
	for name, want := range map[string]string{
		"SCRIPT_FILENAME": path, "SCRIPT_NAME": "/dump.php", "DOCUMENT_URI": "/dump.php", "DOCUMENT_ROOT": w.dir,
		"SERVER_NAME": host, "SERVER_ADDR": "127.0.0.1", "SERVER_PORT": port, "SERVER_PROTOCOL": "HTTP/1.1",
		"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_SCHEME": "http", "REDIRECT_STATUS": "200", "HTTP_HOST": w.Listen,
	} {
		equal(t, name, e.Var(name), want)
	}
	equal(t, "PATH_INFO present", e.Has("PATH_INFO"), false)
	if e.Var("SERVER_SOFTWARE") == "" || e.Var("REMOTE_PORT") == "" || e.Var("REMOTE_PORT") == "0" {
		t.Errorf("SERVER_SOFTWARE %q, REMOTE_PORT %q: want both", e.Var("SERVER_SOFTWARE"), e.Var("REMOTE_PORT"))
	}
	e = stack.Dial(t, w.URL+"/deep", stack.DialOptions{}).NextEvent()
	equal(t, "SCRIPT_NAME below document_root", e.Var("SCRIPT_NAME"), "/public/ws.php")
	equal(t, "DOCUMENT_ROOT", e.Var("DOCUMENT_ROOT"), w.dir+"/app")
}

func TestParametersOfAUnixListener(t *testing.T) {
	socket := filepath.Join(stack.TempDir(t), "ws.sock")
	w := start(t, setup{script: "dump.php", options: stack.GatewayOptions{Listen: "unix:" + socket}}, "1.server-unix", "1.forwarded-none", "5.listen-unix")
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket's mode: got %v, %v, want 0660", info.Mode(), err)
	}
	e := w.dial("", stack.DialOptions{Unix: socket, Host: "chat.example.com"}).NextEvent()
	equal(t, "REMOTE_ADDR", e.Var("REMOTE_ADDR"), "127.0.0.1")
	equal(t, "REMOTE_PORT", e.Var("REMOTE_PORT"), "0")
	equal(t, "SERVER_PORT", e.Var("SERVER_PORT"), "80")
	for _, name := range []string{"SERVER_NAME", "SERVER_ADDR"} {
		equal(t, name+" is set", e.Has(name), true)
	}
	w.AwaitLog(t, "warn", "proxy_set_header")
	e = w.dial("", stack.DialOptions{Unix: socket, Host: "h", Header: http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {"192.0.2.7"}}}).NextEvent()
	equal(t, "SERVER_PORT behind TLS", e.Var("SERVER_PORT"), "443")
	w.Logged(t, 1, "warn", "proxy_set_header")
}

func TestRouteParamsWin(t *testing.T) {
	w := start(t, setup{script: "dump.php", route: `params = { APP_ENV = "prod", HTTP_ACCEPT = "application/json", SERVER_NAME = "mine" }`}, "1.params")
	e := w.dial("", stack.DialOptions{Header: http.Header{"Accept": {"text/html"}}}).NextEvent()
	equal(t, "APP_ENV", e.Var("APP_ENV"), "prod")
	equal(t, "HTTP_ACCEPT", e.Var("HTTP_ACCEPT"), "application/json")
	equal(t, "SERVER_NAME", e.Var("SERVER_NAME"), "mine")
}

func TestForbiddenParamsAreConfigurationErrors(t *testing.T) {
	Row(t, "1.params-forbidden")
	for _, name := range []string{"WS_USER", "PHP_VALUE", "PHP_ADMIN_VALUE"} {
		out, code := checkConfig(t, `params = { `+name+` = "x" }`)
		if code == 0 || !strings.Contains(out, name) {
			t.Errorf("%s: got exit code %d, %q, want an error that names it", name, code, out)
		}
	}
}

// passed are headers that arrive, held those that do not.
var (
	passed = map[string]string{"X-Any": "1", "User-Agent": "ua", "Authorization": "Bearer x", "Accept-Language": "de", "Origin": ""}
	held   = map[string][]string{
		"1.headers-hop": {"Keep-Alive: x", "Proxy-Connection: x", "TE: trailers", "Trailer: x", "Proxy-Authorization: x", "Proxy-Authenticate: x",
			"Sec-WebSocket-Extensions: foo"},
		"1.headers-httpoxy":   {"Proxy: http://evil", "Redirect-Status: 500"},
		"1.headers-entity":    {"Content-Type: a/b", "Content-Language: de", "Accept-Encoding: gzip", "Range: bytes=0-1", "If-None-Match: x", "If-Modified-Since: x"},
		"1.headers-forwarded": {"Forwarded: for=1.2.3.4", "X-Real-IP: 1.2.3.4", "X-Forwarded-Host: evil", "X-Forwarded-Port: 1", "X-Forwarded-Server: x", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https"},
		"1.headers-names":     {"X_Under: 1", "X.Dot: 1"},
	}
)

func TestHeadersAsBehindNginx(t *testing.T) {
	w := start(t, setup{script: "trace.php", route: `origins = ["*"]`, options: stack.GatewayOptions{Top: `trusted_proxies = []`}},
		"1.headers-pass", "1.headers-hop", "1.headers-httpoxy", "1.headers-entity", "1.headers-forwarded", "1.headers-names", "1.no-forgery")
	var lines []string
	for name, value := range passed {
		if value != "" {
			lines = append(lines, name+": "+value)
		}
	}
	for _, group := range held {
		lines = append(lines, group...)
	}
	stack.RawDial(t, w.Listen, "/ws", append(lines, "WS-User: forged", "WS_User: forged", "HTTP-WS-Event: forged")...)
	e := w.trace.Await(t, "connect", 1)[0]
	for name, value := range passed {
		if value != "" {
			equal(t, name, e.Var("HTTP_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))), value)
		}
	}
	for row, group := range held {
		for _, line := range group {
			name, _, _ := strings.Cut(line, ":")
			key := strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name))
			if e.Has("HTTP_" + key) {
				t.Errorf("%s: HTTP_%s arrived", row, key)
			}
		}
	}
	for _, name := range []string{"HTTP_SEC_WEBSOCKET_KEY", "HTTP_SEC_WEBSOCKET_VERSION", "HTTP_CONNECTION", "HTTP_UPGRADE"} {
		equal(t, name+" arrived", e.Has(name), false)
	}
	equal(t, "WS_USER", e.Var("WS_USER"), "")
	equal(t, "WS_EVENT", e.Var("WS_EVENT"), "connect")
	equal(t, "REMOTE_ADDR", e.Var("REMOTE_ADDR"), "127.0.0.1")
	equal(t, "HTTPS", e.Var("HTTPS"), "")
}

func TestPassHeadersLetsListedOnesThrough(t *testing.T) {
	w := start(t, setup{script: "trace.php", route: `pass_headers = ["Accept-Encoding", "X-Real-IP"]`}, "1.pass-headers")
	stack.RawDial(t, w.Listen, "/ws", "Accept-Encoding: br", "X-Real-IP: 192.0.2.1", "Range: bytes=0-1")
	e := w.trace.Await(t, "connect", 1)[0]
	equal(t, "HTTP_ACCEPT_ENCODING", e.Var("HTTP_ACCEPT_ENCODING"), "br")
	equal(t, "HTTP_X_REAL_IP", e.Var("HTTP_X_REAL_IP"), "192.0.2.1")
	equal(t, "HTTP_RANGE arrived", e.Has("HTTP_RANGE"), false)
}

func TestCookieLinesAreJoined(t *testing.T) {
	w := start(t, setup{script: "trace.php"}, "1.cookie-lines")
	stack.RawDial(t, w.Listen, "/ws", "Cookie: a=1", "Cookie: b=2; c=3")
	e := w.trace.Await(t, "connect", 1)[0]
	equal(t, "HTTP_COOKIE", e.Var("HTTP_COOKIE"), "a=1; b=2; c=3")
	equal(t, "$_COOKIE[c]", e.Cookie["c"], "3")
}

func TestBadAndHugeHeadersAreRefused(t *testing.T) {
	w := start(t, setup{script: "trace.php"}, "1.header-value", "1.header-size")
	for name, line := range map[string]string{"NUL": "X-A: a\x00b", "CR": "X-A: a\rb", "bare LF": "X-A: a\nb"} {
		equal(t, name, stack.Handshake(t, w.Listen, "/ws", line).Status, 400)
	}
	equal(t, "33 KiB in one header", stack.Handshake(t, w.Listen, "/ws", "X-A: "+strings.Repeat("a", 33<<10)).Status, 431)
	var many []string
	for range 40 {
		many = append(many, "X-A: "+strings.Repeat("a", 1000))
	}
	equal(t, "40 headers of 1 KB", stack.Handshake(t, w.Listen, "/ws", many...).Status, 431)
	equal(t, "30 KiB", stack.Handshake(t, w.Listen, "/ws", "X-A: "+strings.Repeat("a", 30<<10)).Status, 101)
	equal(t, "connect events", len(w.trace.Of("connect")), 1)
}
