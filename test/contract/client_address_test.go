package contract

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

func TestForwardedForIsReadFromTheRight(t *testing.T) {
	w := start(t, setup{script: "dump.php", options: stack.GatewayOptions{Top: `trusted_proxies = ["127.0.0.1/32", "10.0.0.0/8"]`}}, "1.forwarded-for")
	for value, want := range map[string]string{
		"192.0.2.7":                      "192.0.2.7",
		"6.6.6.6, 192.0.2.7":             "192.0.2.7",
		"6.6.6.6, 192.0.2.7, 10.1.2.3":   "192.0.2.7",
		"192.0.2.7,10.1.2.3 , 127.0.0.1": "192.0.2.7",
		"2001:db8::7":                    "2001:db8::7",
	} {
		e := w.dial("", stack.DialOptions{Header: http.Header{"X-Forwarded-For": {value}}}).NextEvent()
		equal(t, "REMOTE_ADDR for "+value, e.Var("REMOTE_ADDR"), want)
	}
}

func TestForwardedForOfAnUntrustedPeerIsNothing(t *testing.T) {
	w := start(t, setup{script: "dump.php", options: stack.GatewayOptions{Top: `trusted_proxies = []`}}, "1.forwarded-for", "1.headers-forwarded")
	e := w.dial("", stack.DialOptions{Header: http.Header{"X-Forwarded-For": {"192.0.2.7"}, "X-Forwarded-Proto": {"https"}}}).NextEvent()
	equal(t, "REMOTE_ADDR", e.Var("REMOTE_ADDR"), "127.0.0.1")
	equal(t, "HTTPS", e.Var("HTTPS"), "")
	equal(t, "HTTP_X_FORWARDED_FOR arrived", e.Has("HTTP_X_FORWARDED_FOR"), false)
}

func TestForwardedProtoAndHost(t *testing.T) {
	w := start(t, setup{script: "dump.php"}, "1.forwarded-proto", "1.forwarded-host")
	for _, proto := range []string{"https", "wss"} {
		e := w.dial("", stack.DialOptions{Host: "chat.example.com", Header: http.Header{"X-Forwarded-Proto": {proto}, "X-Forwarded-For": {"192.0.2.7"}}}).NextEvent()
		equal(t, "HTTPS", e.Var("HTTPS"), "on")
		equal(t, "REQUEST_SCHEME", e.Var("REQUEST_SCHEME"), "https")
		equal(t, "SERVER_PORT", e.Var("SERVER_PORT"), "443")
		equal(t, "HTTP_HOST", e.Var("HTTP_HOST"), "chat.example.com")
		equal(t, "SERVER_NAME", e.Var("SERVER_NAME"), "chat.example.com")
	}
}

func TestForwardedListsAreReadAlike(t *testing.T) {
	w := start(t, setup{script: "dump.php"}, "1.forwarded-proto", "1.forwarded-lists", "2.foreign-origin")
	for _, lines := range [][]string{{"https,http"}, {"http , HTTPS"}, {"https", "http"}, {"http", ", wss"}} {
		header := http.Header{"X-Forwarded-Proto": lines, "X-Forwarded-For": {"6.6.6.6, ,", "192.0.2.7, "}}
		e := w.dial("", stack.DialOptions{Host: "chat.example.com", Origin: "https://chat.example.com", Header: header}).NextEvent()
		equal(t, "HTTPS", e.Var("HTTPS"), "on")
		equal(t, "REMOTE_ADDR", e.Var("REMOTE_ADDR"), "192.0.2.7")
		got := w.refused("", stack.DialOptions{Host: "chat.example.com", Origin: "http://chat.example.com", Header: header})
		equal(t, "a plain page on an encrypted site", got.Status, 403)
	}
	long := http.Header{"X-Forwarded-Proto": {strings.Repeat("http,", 17)}}
	equal(t, "seventeen elements", w.refused("", stack.DialOptions{Header: long}).Status, 400)
}

func TestWithNothingUsableThePerAddressLimitIsNotApplied(t *testing.T) {
	w := start(t, setup{script: "dump.php", options: stack.GatewayOptions{Limits: "connections_per_address = 2"}}, "1.forwarded-none")
	for range 4 {
		w.open().NextEvent()
	}
	w.AwaitLog(t, "warn", "proxy_set_header")
	w.Logged(t, 1, "warn", "proxy_set_header")
}

func TestAForeignHostIsLoggedWithTheRemedy(t *testing.T) {
	w := start(t, setup{script: "dump.php"}, "1.origin-host", "2.foreign-origin")
	got := w.refused("", stack.DialOptions{Origin: "https://chat.example.com", Host: "localhost"})
	equal(t, "status", got.Status, 403)
	w.AwaitLog(t, "", "chat.example.com", "localhost", "proxy_set_header")
}

// nginxConf is the project's own nginx file with this test's paths in it.
func nginxConf(t *testing.T, socket string) string {
	t.Helper()
	file := filepath.Join(stack.Root(t), "deploy", "nginx", "wsfpm.conf")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("/run/wsfpm/ws.sock", socket, "/var/log/nginx", "DIR").Replace(string(text))
}

// block is the nginx block that the contract prints.
func block(t *testing.T, socket string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(stack.Root(t), "docs", "contract.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```nginx\n")
	conf, _, _ := strings.Cut(rest, "```")
	conf = strings.ReplaceAll(conf, "/run/wsfpm/ws.sock", socket)
	return strings.Replace(conf, "location /ws/ {", "server { listen LISTEN;\nlocation /ws/ {", 1) + "}\n"
}

func TestTheNginxBlockWorks(t *testing.T) {
	socket := filepath.Join(stack.TempDir(t), "ws.sock")
	w := start(t, setup{script: "echo.php", options: stack.GatewayOptions{Listen: "unix:" + socket,
		Routes: "[[route]]\npath = \"/ws/dump\"\nscript = \"$DIR/dump.php\"\n"}}, "1.nginx", "1.forwarded-host")
	nginx := stack.Nginx(t, block(t, socket))
	url := strings.Replace(nginx.URL(), "http://", "ws://", 1) + "/ws/dump"
	c := stack.Dial(t, url, stack.DialOptions{Origin: nginx.URL(), Header: http.Header{"X-Forwarded-For": {"6.6.6.6"}}})
	e := c.NextEvent()
	equal(t, "REMOTE_ADDR", e.Var("REMOTE_ADDR"), "127.0.0.1")
	equal(t, "HTTP_HOST", e.Var("HTTP_HOST"), nginx.Addr)
	c.SendBinary(make([]byte, 50<<10))
	equal(t, "body", len(c.NextEvent().Body), 50<<10)
	equal(t, "without an upgrade", stack.HTTP(t, "GET", nginx.URL()+"/ws/dump", nil).Status, 426)
	equal(t, "warnings", len(w.LogLines("warn", "proxy_set_header")), 0)
}

func TestTheShippedNginxFileWorks(t *testing.T) {
	socket := filepath.Join(stack.TempDir(t), "ws.sock")
	start(t, setup{script: "echo.php", options: stack.GatewayOptions{Listen: "unix:" + socket,
		Routes: "[[route]]\npath = \"/ws/dump\"\nscript = \"$DIR/dump.php\"\n"}}, "1.nginx")
	conf := nginxConf(t, socket)
	if strings.Contains(conf, "server {") {
		conf = regexp.MustCompile(`(?m)^\s*listen\s+\[::\][^;]*;`).ReplaceAllString(conf, "")
		conf = regexp.MustCompile(`(?m)^(\s*)listen\s[^;]*;`).ReplaceAllString(conf, "${1}listen LISTEN;")
		conf = regexp.MustCompile(`(?m)^\s*(ssl_|http2|root|include)[^;]*;`).ReplaceAllString(conf, "")
	} else {
		conf = strings.Replace(conf, "location ", "server { listen LISTEN;\nlocation ", 1) + "}\n"
	}
	conf = regexp.MustCompile(`(?m)^\s*server_name\s[^;]*;`).ReplaceAllString(conf, "")
	nginx := stack.Nginx(t, conf)
	c := stack.Dial(t, strings.Replace(nginx.URL(), "http://", "ws://", 1)+"/ws/dump", stack.DialOptions{Origin: nginx.URL()})
	equal(t, "REMOTE_ADDR", c.NextEvent().Var("REMOTE_ADDR"), "127.0.0.1")
}

const folderRoute = "[[route]]\npath = \"/ws/{script}\"\nroot = \"$DIR\"\n"

func TestAScriptNameChoosesAFileOfTheRootOnly(t *testing.T) {
	w := start(t, setup{scripts: map[string]string{"chat.php": "echo 'chat';", "sub/in.php": "echo 'in';"},
		options: stack.GatewayOptions{Routes: folderRoute}}, "1.script-name", "1.script-root", "5.path", "2.no-route")
	outside := stack.Scripts(t, map[string]string{"out.php": "echo 'out';"})
	if err := os.Symlink(filepath.Join(outside, "out.php"), filepath.Join(w.dir, "link.php")); err != nil {
		t.Fatal(err)
	}
	stack.Dial(t, w.URL+"/ws/chat", stack.DialOptions{}).Expect("chat")
	for _, path := range []string{"/ws/link", "/ws/sub/in", "/ws/sub%2fin", "/ws/..%2fchat", "/ws/chat.php", "/ws/chat%00", "/ws/chät",
		"/ws/%63hat%2e", "/ws/", "/ws/nothing-here", "/other"} {
		if got := stack.Handshake(t, w.Listen, path); got.Status/100 != 4 && got.Status != 502 {
			t.Errorf("%s: got %d, want a refusal", path, got.Status)
		}
	}
	equal(t, "no such path", stack.Handshake(t, w.Listen, "/other").Status, 404)
}

func TestAFormInAMessage(t *testing.T) {
	w := start(t, setup{script: "dump.php", route: `content_type = "application/x-www-form-urlencoded"`}, "1.form", "1.message-type")
	c := w.open()
	c.NextEvent()
	c.Send("a=1&b=2&b=3&c%20d=%41")
	e := c.NextEvent()
	equal(t, "$_POST[a]", e.Post["a"], any("1"))
	equal(t, "$_POST[b]", e.Post["b"], any("3"))
	equal(t, "$_POST[c_d]", e.Post["c_d"], any("A"))
	equal(t, "php://input", string(e.Body), "a=1&b=2&b=3&c%20d=%41")
}

func TestMultipartIsRefusedByCheck(t *testing.T) {
	Row(t, "1.multipart")
	out, code := checkConfig(t, `content_type = "multipart/form-data"`)
	if code == 0 || !strings.Contains(out, "multipart") {
		t.Errorf("got exit code %d, %q, want an error about multipart", code, out)
	}
}
