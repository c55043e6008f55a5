package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// editors are Node with pages that share documents by Yjs.
type editors struct {
	*stack.Dialogue
	t *testing.T
}

// startEditors runs yjs.mjs with the documented page.
func startEditors(t *testing.T) *editors {
	t.Helper()
	program := node(t)
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	page := documentedIn(t, "relay.md", "A document (Yjs)", "js")
	connected := strings.Replace(page, "'wss://example.com/ws'", "globalThis.server", 1) + "\nexport { doc, provider }\n"
	dir := stack.Scripts(t, map[string]string{"page.mjs": connected})
	if err := os.Symlink(filepath.Join(here, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return &editors{stack.StartDialogue(t, exec.CommandContext(ctx, program, "yjs.mjs", filepath.Join(dir, "page.mjs"))), t}
}

// do runs one command and returns its answer.
func (e *editors) do(format string, args ...any) string {
	e.t.Helper()
	command := fmt.Sprintf(format, args...)
	answer, err := e.Ask(command)
	if err != nil || !strings.HasPrefix(answer, "ok") {
		e.t.Fatalf("%s: got %q, %v", command, answer, err)
	}
	return strings.TrimPrefix(strings.TrimPrefix(answer, "ok"), " ")
}

// Unmodified y-websocket clients share the document of docs/relay.md over one node and two:
// typing, a late page, a cut with changes on both sides, an outage of Redis. The script runs
// for copies only, from which a page gets the document when no other is there.
func TestYjsPagesConverge(t *testing.T) {
	node(t)
	contract.Row(t, "2.relay", "2.relay-echo", "2.relay-copy", "2.relay-copy-end", "2.relay-lost", "2.relay-nodes")
	redis := stack.Redis(t, stack.RedisOptions{})
	link, trace := stack.Proxy(t, redis.Addr), stack.NewTrace(t)
	store := filepath.Join(stack.TempDir(t), "docs.sqlite")
	php := strings.Replace(documentedIn(t, "relay.md", "A document (Yjs)", "php"), "<?php", "", 1)
	php = strings.Replace(php, "/srv/app/data/docs.sqlite", store, 1)
	create := "$db->exec('pragma journal_mode = wal'); $db->exec('create table if not exists frames (id integer primary key, doc, frame blob, unique (doc, frame))');\n"
	php = strings.Replace(php, "$doc = (int)", create+"$doc = (int)", 1)
	dir := stack.Scripts(t, map[string]string{"yjs.php": "require __DIR__ . '/event.php'; wsfpm_trace();\n" + php})
	fpm := stack.FPM(t, stack.FPMOptions{Children: 6})
	_, limits, _ := strings.Cut(documentedIn(t, "relay.md", "A document (Yjs)", "toml"), "[limits]\n")
	var nodes [2]*stack.GatewayServer
	for i := range nodes {
		nodes[i] = stack.Gateway(t, stack.GatewayOptions{Node: fmt.Sprint("node", i+1), FPM: fpm, Redis: "redis://" + link.Addr, RedisTOML: "confirm = \"5s\"\n", Limits: limits,
			Routes: fmt.Sprintf("[[route]]\npath = \"/ws/{script}\"\nroot = %q\nparams = { TRACE = %q }\n", dir, trace.File)})
	}
	urls := [2]string{nodes[0].URL + "/ws", nodes[1].URL + "/ws"}

	e := startEditors(t)
	e.do("open a %s", urls[0])
	e.do("open b %s", urls[0])
	e.do("type a alone on one node")
	e.do("same 17 a b")
	e.do("open c %s", urls[1])
	e.do("type b , then on two")
	e.do("type c !")
	e.do("same 31 a b c")
	e.do("type a %s", strings.Repeat("keystroke ", 10))
	typed := e.do("same 131 a b c")
	for _, event := range trace.Of("message") {
		if event.Var("WS_RELAYED") == "" {
			t.Errorf("PHP got %q", event.Body)
		}
	}
	if n := len(trace.Of("message")); n > 20 {
		t.Errorf("%d message events for 150 keystrokes", n)
	}

	e.do("open late %s", urls[1])
	if got := e.do("same 131 late a"); got != typed {
		t.Errorf("a late page has %q, want %q", got, typed)
	}
	e.do("cut c")
	e.do("type c 12345")
	e.do("type a 67890")
	e.do("back c")
	e.do("same 141 a b c late")

	link.Cut()
	stack.Wait(t, "the nodes to notice", func() bool { return !nodes[0].Ready() && !nodes[1].Ready() })
	e.do("type a lost?")
	stack.Wait(t, "the loss", func() bool { return nodes[0].Metric(t, "wsfpm_relayed_frames_total", `outcome="lost"`) > 0 })
	link.Mend()
	all := e.do("same 146 a b c late")

	for _, name := range []string{"a", "b", "c", "late"} {
		e.do("close %s", name)
	}
	stack.Wait(t, "all to have left", func() bool {
		return len(trace.Of("disconnect")) >= len(trace.Of("connect"))
	})
	e.do("open alone %s", urls[1])
	if got := e.do("same 146 alone"); got != all {
		t.Errorf("after the last page had gone PHP had kept %q, want %q", got, all)
	}
}

// cursorsSignIn begins the documented script with the session of the user in the query.
const cursorsSignIn = `if ($_SERVER['WS_EVENT'] === 'connect') {
	session_id('as' . $_GET['as']);
	session_start();
	$_SESSION['user'] = $_GET['as'];
	session_write_close();
}
`

// The cursors of docs/relay.md in two pages of Chromium.
func TestTheDocumentedCursorsMove(t *testing.T) {
	program := node(t)
	contract.Row(t, "2.relay-prefix", "2.relay-latest")
	php := strings.Replace(documentedIn(t, "relay.md", "Cursors", "php"), "<?php", "", 1)
	html := documentedIn(t, "relay.md", "Cursors", "html")
	page := strings.Replace(html, "'wss://example.com/ws/doc?doc=5'", "`ws://${location.host}/ws/doc?doc=5&as=${location.hash.slice(1)}`", 1)
	if page == html {
		t.Fatal("the page connects to another address")
	}
	trace := stack.NewTrace(t)
	dir := stack.Scripts(t, map[string]string{"doc.php": "require __DIR__ . '/event.php'; wsfpm_trace();\n" + cursorsSignIn + php, "page.html": page})
	g := stack.Gateway(t, stack.GatewayOptions{FPM: stack.FPM(t, stack.FPMOptions{}), Routes: fmt.Sprintf(
		"[[route]]\npath = \"/ws/{script}\"\nroot = %q\nparams = { TRACE = %q }\n", dir, trace.File)})
	nginx := stack.Nginx(t, fmt.Sprintf(`
map $http_upgrade $wsfpm_upgrade { default ""; websocket websocket; }
server { listen LISTEN; root %s;
	location /ws { proxy_pass http://%s; proxy_http_version 1.1;
		proxy_set_header Upgrade $wsfpm_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host;
		proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; proxy_read_timeout 75s; } }`, dir, g.Listen))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "cursors.mjs", nginx.URL()+"/page.html").CombinedOutput()
	var seen []string
	if err != nil || json.Unmarshal(out, &seen) != nil {
		t.Fatalf("chromium: %v\n%s", err, out)
	}
	if len(seen) != 2 || seen[0] != "➤ user:ann 300px 200px" || seen[1] != "➤ user:bob 40px 50px" {
		t.Errorf("got %q", seen)
	}
	if n := len(trace.Of("message")); n > 0 {
		t.Errorf("PHP ran for %d messages", n)
	}
}
