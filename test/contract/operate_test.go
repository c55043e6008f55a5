package contract

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// soundFile is a configuration without a fault.
const soundFile = `
[fpm.default]
address = "unix:/run/php/php-fpm.sock"
[[route]]
path = "/ws"
script = "/srv/ws.php"
`

func TestCheckLooksAtSpares(t *testing.T) {
	Row(t, "5.fpm-list")
	const pools = soundFile + "fpm = %s\n[fpm.spare]\naddress = \"unix:/nowhere/spare.sock\"\n"
	if out, code := checkFile(t, fmt.Sprintf(pools, `["default", "spare"]`)); code != 0 || !strings.Contains(out, "pool default then spare") {
		t.Errorf("a spare: got exit code %d: %s", code, out)
	}
	for list, want := range map[string]string{
		`["default", "spar"]`: `there is no pool "spar"`, `["spare", "spare"]`: "is there twice", `[]`: "has no name",
	} {
		if out, code := checkFile(t, fmt.Sprintf(pools, list)); code == 0 || !strings.Contains(out, "route[1].fpm: ") || !strings.Contains(out, want) {
			t.Errorf("fpm = %s: got exit code %d: %s, want %q", list, code, out, want)
		}
	}
	out, code := checkFile(t, fmt.Sprintf(pools, `["default", "spare"]`), "--dial", "--set", "fpm.default.address="+shared.fpm.Address)
	if code == 0 || !strings.Contains(out, "fpm.spare.address: cannot connect to PHP-FPM") || strings.Contains(out, "fpm.default.address: ") {
		t.Errorf("--dial: got exit code %d: %s, want the spare to be missed", code, out)
	}
}

func TestCheckReportsEveryProblemAtOnce(t *testing.T) {
	Row(t, "5.check", "5.unknown-key", "5.fpm-twice", "5.events-public")
	if out, code := checkFile(t, soundFile); code != 0 {
		t.Fatalf("a sound file: got exit code %d: %s", code, out)
	}
	out, code := checkFile(t, `
drian = "30s"
[fpm.default]
address = "unix:/run/php/php-fpm.sock"
[fpm.other]
address = "unix:/run/php/php-fpm.sock"
[[route]]
path = "/ws"
script = "/srv/ws.php"
on_error = "explode"
events = ["message"]
`)
	for _, word := range []string{"drian", "explode", "public", "address"} {
		if code == 0 || !strings.Contains(out, word) {
			t.Errorf("got exit code %d without %q: %s", code, word, out)
		}
	}
	if _, code := checkConfig(t, "events = [\"message\"]\npublic = true"); code != 0 {
		t.Errorf("events without connect, public: got exit code %d, want 0", code)
	}
}

func TestCheckComparesWithPHPFPM(t *testing.T) {
	Row(t, "5.check-pool", "5.post-max-size")
	stack.Integration(t)
	pool := filepath.Join(t.TempDir(), "pool.conf")
	text := "[www]\nlisten = /run/php/php-fpm.sock\npm = static\npm.max_children = 2\nrequest_terminate_timeout = 5s\n"
	if err := os.WriteFile(pool, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _ := checkFile(t, soundFile, "--fpm-pool", pool)
	for _, word := range []string{"max_children", "request_terminate_timeout"} {
		if !strings.Contains(out, word) {
			t.Errorf("no word about %s: %s", word, out)
		}
	}
	if out, _ := checkConfig(t, `message_limit = "16MiB"`); !strings.Contains(out, "post_max_size") {
		t.Errorf("no word about post_max_size: %s", out)
	}
}

func TestVersion(t *testing.T) {
	Row(t, "5.version")
	stack.Integration(t)
	out, code := stack.Command(t, "version")
	want := regexp.MustCompile(`^wsfpm \S+, commit \S+.*, go1\.\S+ \w+/\w+\n(  \S+ v\S+\n)*  github.com/coder/websocket v1.*\n(  \S+ v\S+\n)*$`)
	if code != 0 || !want.MatchString(out) {
		t.Errorf("got exit code %d, %q", code, out)
	}
}

func TestConfigPrintsTheKeysAndWhatDiffers(t *testing.T) {
	Row(t, "5.config", "5.config-changed")
	stack.Integration(t)
	page, err := os.ReadFile(filepath.Join(stack.Root(t), "docs", "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if out, code := stack.Command(t, "config"); code != 0 || out != string(page) {
		t.Errorf("got exit code %d and other keys than in docs/config.toml", code)
	}
	out, code := stack.Command(t, "config", "--changed", "--set", "limits.burst=50", "--redis", "redis://app:hush@h:6379")
	want := "redis.url = \"redis://…@h:6379\"  # command line, default \"\"\nlimits.burst = 50               # command line, default 30\n"
	if code != 0 || out != want {
		t.Errorf("got exit code %d, %q, want %q", code, out, want)
	}
}

func TestPushFromTheCommandLine(t *testing.T) {
	w := start(t, setup{script: whoScript, redis: true}, "5.push", "4.unknown-strict")
	c := w.dial("?h[]=WS-User:u", stack.DialOptions{})
	c.Next()
	out, code := stack.Command(t, "push", "--config", w.Config, "user:u", "from a shell")
	if code != 0 {
		t.Fatalf("got exit code %d: %s", code, out)
	}
	c.Expect("from a shell")
	local := start(t, setup{script: whoScript}, "5.push")
	c = local.dial("?h[]=WS-User:u", stack.DialOptions{})
	c.Next()
	if out, code := stack.Command(t, "push", "--config", local.Config, "user:u", "by the admin listener"); code != 0 {
		t.Fatalf("got exit code %d: %s", code, out)
	}
	c.Expect("by the admin listener")
	if _, code := stack.Command(t, "push", "--config", local.Config, "room:u", "x"); code == 0 {
		t.Error("a wrong address was taken")
	}
}

func TestZeroConfiguration(t *testing.T) {
	Row(t, "5.zero-config", "5.web", "5.serve", "5.precedence", "5.fpm-tcp")
	stack.Integration(t)
	fpm := stack.FPM(t, stack.FPMOptions{TCP: true, NoINI: true})
	dir := stack.Scripts(t, map[string]string{"page.php": "echo 'page ', $_GET['n'];", "plain.html": "<?php exit;\n"})
	if err := os.WriteFile(filepath.Join(dir, "plain.html"), []byte("plain"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "backup.sql"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := fmt.Sprintf("listen = %q\n[redis]\nurl = \"redis://127.0.0.1:1\"\n", stack.FreeAddress(t))
	listen := stack.FreeAddress(t)
	g := stack.Gateway(t, stack.GatewayOptions{File: file, Listen: listen, NotReady: true, Env: []string{"WSFPM_REDIS_URL=" + shared.redis.URL()},
		Args: []string{"--listen", listen, "--fpm", fpm.Address, "--script", filepath.Join(dir, "echo.php"), "--web", dir}})
	c := stack.Dial(t, g.URL+"/ws", stack.DialOptions{})
	c.Send("hello")
	c.Expect("hello")
	page := strings.Replace(g.URL, "ws://", "http://", 1)
	equal(t, "a PHP page", stack.HTTP(t, "GET", page+"/page.php?n=7", nil).Body, "page 7")
	equal(t, "a plain page", stack.HTTP(t, "GET", page+"/plain.html", nil).Body, "plain")
	equal(t, "a dump", stack.HTTP(t, "GET", page+"/backup.sql", nil).Status, 404)
	stack.Wait(t, "the Redis of the environment", func() bool { return shared.redis.Subscribers(t, "ws:command") > 0 })
}

func TestIdsCarryTheNode(t *testing.T) {
	w := start(t, setup{script: "dump.php", options: stack.GatewayOptions{Node: "web1"}}, "5.node")
	e := w.open().NextEvent()
	first := e.Var("WS_CONNECTION")
	if !strings.HasPrefix(e.Var("WS_NODE"), "web1") || !strings.HasPrefix(first, "web1-") {
		t.Errorf("got node %q and id %q, want both to begin with web1", e.Var("WS_NODE"), first)
	}
	w.Restart(t)
	second := w.open().NextEvent().Var("WS_CONNECTION")
	if len(first) < 11 || len(second) < 11 || first[:11] == second[:11] {
		t.Errorf("ids %q and %q: want six other random characters after a restart", first, second)
	}
}

func TestListenOnAList(t *testing.T) {
	a, b := stack.FreeAddress(t), stack.FreeAddress(t)
	dir := stack.Scripts(t, nil)
	Row(t, "5.listen")
	stack.Integration(t)
	file := fmt.Sprintf("listen = [%q, %q]\n[fpm.default]\naddress = %q\n[[route]]\npath = \"/ws\"\nscript = %q\n", a, b, shared.fpm.Address, dir+"/echo.php")
	stack.Gateway(t, stack.GatewayOptions{File: file, Listen: a, NotReady: true})
	for _, address := range []string{a, b} {
		c := stack.Dial(t, "ws://"+address+"/ws", stack.DialOptions{})
		c.Send("x")
		c.Expect("x")
	}
}

func TestAdminListener(t *testing.T) {
	w := start(t, setup{script: "echo.php"}, "5.admin", "5.admin-token", "5.push-csrf")
	none := http.Header{"Authorization": {""}}
	for _, path := range []string{"/live", "/ready", "/metrics"} {
		status, _ := w.AdminDo(t, "GET", path, "", none)
		equal(t, path, status, 200)
	}
	for _, path := range []string{"/connections", "/debug/pprof/"} {
		status, _ := w.AdminDo(t, "GET", path, "", none)
		equal(t, path+" without a token", status, 401)
		status, _ = w.AdminDo(t, "GET", path, "", http.Header{"Authorization": {"Bearer wrong"}})
		equal(t, path+" with a wrong token", status, 401)
		status, _ = w.AdminDo(t, "GET", path, "", nil)
		equal(t, path, status, 200)
	}
	const command = `{"to":"all","data":"x"}`
	status, _ := w.AdminDo(t, "POST", "/push", command, http.Header{"Authorization": {""}, "Content-Type": {"application/json"}})
	equal(t, "/push without a token", status, 401)
	status, _ = w.AdminDo(t, "POST", "/push", command, http.Header{"Content-Type": {"text/plain"}})
	equal(t, "/push of text/plain", status, 415)
	status, _ = w.AdminDo(t, "POST", "/push", command, http.Header{"Content-Type": {"application/json"}, "Origin": {"http://evil.example"}})
	equal(t, "/push with an Origin", status, 403)
	status, _ = w.AdminDo(t, "GET", "/push", "", nil)
	equal(t, "GET /push", status, 405)
}

func TestAdminOnAUnixSocketNeedsNoToken(t *testing.T) {
	Row(t, "5.admin-token")
	stack.Integration(t)
	socket := filepath.Join(stack.TempDir(t), "admin.sock")
	listen := stack.FreeAddress(t)
	dir := stack.Scripts(t, nil)
	stack.Gateway(t, stack.GatewayOptions{Listen: listen, NotReady: true, File: fmt.Sprintf(
		"listen = %q\nadmin = \"unix:%s\"\n[fpm.default]\naddress = %q\n[[route]]\npath = \"/ws\"\nscript = %q\n", listen, socket, shared.fpm.Address, dir+"/echo.php")})
	c := stack.Dial(t, "ws://"+listen+"/ws", stack.DialOptions{})
	status, body := stack.UnixPost(t, socket, "/push", `{"to":"all","data":"x"}`)
	if status != 200 {
		t.Fatalf("got %d %s, want 200", status, body)
	}
	c.Expect("x")
}

func TestPoolsHaveTheirBounds(t *testing.T) {
	fpm := stack.FPM(t, stack.FPMOptions{NoINI: true, Children: 6})
	w := start(t, setup{script: "slow.php", options: stack.GatewayOptions{FPM: fpm, FPMLines: "max_connections = 2\nmax_idle = 1\nidle_timeout = \"300ms\""}},
		"5.max-connections", "5.max-idle", "5.idle-timeout")
	var clients []*stack.Client
	for range 6 {
		clients = append(clients, w.open())
	}
	for _, c := range clients {
		c.Send("100")
	}
	most := 0.0
	for range 20 {
		most = max(most, w.Metric(t, "wsfpm_fpm_in_use"))
	}
	if most > 2 {
		t.Errorf("got %v workers in use, want at most 2", most)
	}
	for _, c := range clients {
		c.Next()
	}
	if n := w.Metric(t, "wsfpm_fpm_idle"); n > 1 {
		t.Errorf("got %v kept connections, want at most 1", n)
	}
	overlap := 0
	events := w.trace.Of("message")
	for _, e := range events {
		running := 0
		for _, other := range events {
			if other.Begin <= e.Begin && e.Begin < other.End {
				running++
			}
		}
		overlap = max(overlap, running)
	}
	equal(t, "messages handled at once", overlap, 2)
	stack.Wait(t, "the kept connection to be closed", func() bool { return w.Metric(t, "wsfpm_fpm_idle") == 0 })
}

func TestRoutesByHostAndEvents(t *testing.T) {
	w := start(t, setup{scripts: map[string]string{"a.php": "require __DIR__.'/event.php'; wsfpm_trace(); echo 'a';", "b.php": "echo 'b';"}, options: stack.GatewayOptions{Routes: `
[[route]]
path = "/ws"
host = ["a.example"]
script = "$DIR/a.php"
origins = ["*"]
events = ["message"]
public = true
params = { TRACE = "$TRACE" }
[[route]]
path = "/ws"
host = ["b.example"]
script = "$DIR/b.php"
`}}, "5.host", "5.events", "5.events-public", "5.path")
	a := w.dial("", stack.DialOptions{Host: "a.example"})
	w.dial("", stack.DialOptions{Host: "b.example"}).Expect("b")
	equal(t, "no route for the host", stack.Handshake(t, w.Listen, "/ws", "Host: c.example").Status, 404)
	equal(t, "the path is exact", stack.Handshake(t, w.Listen, "/ws/", "Host: a.example").Status, 404)
	a.Send("x")
	a.Expect("a")
	a.Close(1000, "")
	stack.Wait(t, "the end", func() bool { return w.Metric(t, "wsfpm_connections") == 1 })
	equal(t, "events", len(w.trace.Events()), 1)
}

func TestAnswerAndMessageLimits(t *testing.T) {
	w := start(t, setup{script: `if ($_SERVER['WS_EVENT'] === 'message') echo str_repeat('x', (int) file_get_contents('php://input'));`,
		route: "answer_limit = \"10KiB\"\nmessage_limit = \"1KiB\"\non_error = \"message\"\nerror_message = \"sorry\""}, "5.answer-limit", "5.message-limit")
	c := w.open()
	c.Send("10240")
	c.Expect(strings.Repeat("x", 10240))
	c.Send("10241")
	c.Expect("sorry")
	c.Send(strings.Repeat("1", 1025))
	c.ExpectClose(1009)
}

func TestSystemdSockets(t *testing.T) {
	dir := stack.Scripts(t, nil)
	Row(t, "5.systemd", "5.drain-ready")
	stack.Integration(t)
	g := stack.SocketActivated(t, fmt.Sprintf("listen = \"systemd\"\ndrain = \"1s\"\n[fpm.default]\naddress = %q\n[[route]]\npath = \"/ws\"\nscript = %q\n",
		shared.fpm.Address, dir+"/echo.php"))
	c := stack.Dial(t, g.URL+"/ws", stack.DialOptions{})
	c.Send("x")
	c.Expect("x")
	c.Close(1000, "")
	equal(t, "exit code", g.Stop(t), 0)
	g.Successor(t) // what waited on the socket meanwhile is not lost
	c = stack.Dial(t, g.URL+"/ws", stack.DialOptions{})
	c.Send("y")
	c.Expect("y")
}

func TestLogFormat(t *testing.T) {
	w := start(t, setup{script: "echo.php"}, "5.log")
	text := w.LogText()
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "{") {
			t.Errorf("a line that is not JSON: %s", line)
		}
	}
	c := w.dial("?token=hush-hush", stack.DialOptions{Cookie: "sid=secret-cookie"})
	c.Send("secret payload")
	c.Expect("secret payload")
	c.Close(1000, "")
	stack.Wait(t, "the end", func() bool { return w.Metric(t, "wsfpm_connections") == 0 })
	for _, secret := range []string{"hush-hush", "secret-cookie", "secret payload"} {
		if strings.Contains(w.LogText(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}
