package browser

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// documented is documentedIn docs/durable.md.
func documented(t *testing.T, heading, language string) string {
	t.Helper()
	return documentedIn(t, "durable.md", heading, language)
}

// documentedIn returns the code in one language that stands below a heading of a page of docs.
func documentedIn(t *testing.T, page, heading, language string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(stack.Root(t), "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, code, there := strings.Cut(section, "\n```"+language+"\n")
	code, _, _ = strings.Cut(code, "\n```\n")
	if !found || !there {
		t.Fatalf("docs/%s has no %s code below %q", page, language, heading)
	}
	return code
}

// table stands in for the site's database: as much of PDO as the documented chat uses.
const table = `class Table {
	private $id = 0; private $args;
	private function file() { $f = fopen(__DIR__ . '/messages', 'c+'); flock($f, LOCK_EX); return $f; }
	function query($sql) { return $this; }
	function prepare($sql) { return $this; }
	function fetchAll($mode) {
		$f = $this->file();
		$rows = array_map(fn($line) => json_decode($line, true), array_filter(explode("\n", stream_get_contents($f)), 'strlen'));
		return array_slice(array_reverse($rows), 0, 100);
	}
	function execute($args) {
		$f = $this->file();
		$this->id = substr_count(stream_get_contents($f), "\n") + 1;
		fwrite($f, json_encode(['id' => $this->id, 'author' => $args[0], 'text' => $args[1]]) . "\n");
		return true;
	}
	function lastInsertId() { return $this->id; }
}
$db = new Table;
`

// chatPage is the page around the documented code.
const chatPage = `<!doctype html><title>chat</title><form id="form"><input name="text"></form><ol id="list"></ol>
<script type="module">
import { Live } from './live.js'
const form = document.getElementById('form'), list = document.getElementById('list')
window.rows = []
window.warnings = 0
const clear = () => { window.rows = []; list.textContent = '' }
const append = row => { window.rows.push(row.text); list.append(Object.assign(document.createElement('li'), { textContent: row.author + ': ' + row.text })) }
const warn = () => window.warnings++
%s
window.live = live
</script>`

// The documented chat, with its page, over two nodes behind nginx: one node is killed while
// both people type. All that was acknowledged is on both pages, once.
func TestTheDocumentedChatSurvivesANodesDeath(t *testing.T) {
	t.Parallel()
	program := node(t)
	contract.Row(t, "7.ok", "7.new", "7.envelope")
	fpm := stack.FPM(t, stack.FPMOptions{Children: 10})
	redis := stack.Redis(t, stack.RedisOptions{})
	php := strings.Replace(documented(t, "A chat with history", "php"), "<?php", "", 1)
	client, err := os.ReadFile(filepath.Join(stack.Root(t), "client", "js", "live.js"))
	if err != nil {
		t.Fatal(err)
	}
	dir := stack.Scripts(t, map[string]string{
		"chat.php":  table + php,
		"login.php": `session_start(); $_SESSION['user'] = $_GET['user']; header('Location: /page.html');`,
		"live.js":   string(client),
		"page.html": fmt.Sprintf(chatPage, strings.Replace(documented(t, "A chat with history", "js"), "import ", "// import ", 1)),
	})
	var nodes []*stack.GatewayServer
	var servers string
	for i := range 2 {
		g := stack.Gateway(t, stack.GatewayOptions{Node: fmt.Sprint("node", i+1), FPM: fpm, Redis: redis.URL(), Limits: "messages_per_second = 0",
			Routes: fmt.Sprintf("[[route]]\npath = \"/ws/chat\"\nscript = %q\nresume = true\n", dir+"/chat.php")})
		nodes = append(nodes, g)
		servers += "server " + g.Listen + " max_fails=0; "
	}
	nginx := stack.Nginx(t, fmt.Sprintf(`map $http_upgrade $wsfpm_upgrade { default ""; websocket websocket; }
upstream nodes { %s }
server { listen LISTEN; root %s;
	location /ws/ { proxy_pass http://nodes; proxy_http_version 1.1;
		proxy_set_header Upgrade $wsfpm_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host;
		proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; proxy_read_timeout 75s; }
	location ~ \.php$ { include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
		fastcgi_pass unix:%s; } }
`, servers, dir, fpm.Socket))
	first := rand.IntN(2)
	drive(t, []string{program, "live.mjs", nginx.URL()}, func(word string) {
		switch word {
		case "kill":
			nodes[first].Kill()
		case "start":
			nodes[first].Start(t)
			stack.Wait(t, "the node", nodes[first].Ready)
		case "kill the other":
			nodes[1-first].Kill()
		}
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	login := func(user string) (cookie string) {
		r, err := browser.Get(nginx.URL() + "/login.php?user=" + user)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		return jar.Cookies(r.Request.URL)[0].String()
	}
	c := stack.Dial(t, nodes[first].URL+"/ws/chat", stack.DialOptions{Cookie: login("Ann"), Protocols: []string{"wsfpm.v1"}})
	login("Bob") // in another tab
	c.Next()     // the hello
	c.Next()     // the history
	c.Send(`{"id":"k1","data":"of Ann"}`)
	c.Expect(`{"re":"k1","error":"failed"}`)
}
