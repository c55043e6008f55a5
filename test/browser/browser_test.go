// Package browser drives this machine's Chromium through the real gateway: an
// echo of every size, the chat with two people on two nodes behind nginx, and
// pages of many origins that want a visitor's socket.
package browser

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

func TestMain(m *testing.M) {
	os.Exit(stack.Main(m, "browser", func(*stack.Suite) {}))
}

// node finds Node, Chromium and the packages, and returns Node's path.
func node(t *testing.T) string {
	t.Helper()
	stack.Tool(t, "chromium", "chromium", os.Getenv("CHROMIUM"))
	if _, err := os.Stat("node_modules/playwright-core"); err != nil {
		t.Fatal("the browser tests' packages are not installed: (cd test/browser && npm ci)")
	}
	return stack.Tool(t, "nodejs", "node")
}

func TestChromiumEchoes(t *testing.T) {
	program := node(t)
	fpm := stack.FPM(t, stack.FPMOptions{Ini: map[string]string{"post_max_size": "32M", "memory_limit": "256M"}})
	dir := stack.Scripts(t, map[string]string{"page.html": "<!doctype html><title>echo</title>"})
	g := stack.Gateway(t, stack.GatewayOptions{FPM: fpm, Limits: "messages_per_second = 0", Routes: fmt.Sprintf(
		"[[route]]\npath = \"/ws\"\nscript = %q\nmessage_limit = \"16MiB\"\nanswer_limit = \"16MiB\"\n", dir+"/echo.php")})
	nginx := stack.Nginx(t, fmt.Sprintf(`
map $http_upgrade $wsfpm_upgrade { default ""; websocket websocket; }
server { listen LISTEN; root %s;
	location /ws { proxy_pass http://%s; proxy_http_version 1.1;
		proxy_set_header Upgrade $wsfpm_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host;
		proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; proxy_read_timeout 75s; } }`, dir, g.Listen))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "echo.mjs", nginx.URL()+"/page.html", "ws://"+nginx.Addr+"/ws").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "ok ") {
		t.Fatalf("chromium: %v\n%s", err, out)
	}
	t.Log(strings.TrimSpace(string(out)))
}

// chat is the chat with two nodes behind nginx: one server port pinned to each, and one that
// passes to the second node, or to the first while that one is down.
type chat struct {
	redis  *stack.RedisServer
	link   *stack.Link // to Redis, for nodes and scripts
	nodes  [2]*stack.GatewayServer
	nginx  *stack.NginxServer
	second string // nginx's address for the second node
	both   string // and for both
	held   string // this file is there when PHP holds a message, and to be removed
}

// hold is PHP code that runs after each script. A message that says goodbye over the second
// node has been stored then, and has no reply until the file "held" is removed.
const hold = `$held = __DIR__ . '/held';
if (($_SERVER['WS_EVENT'] ?? '') === 'message' && str_starts_with($_SERVER['WS_NODE'], 'node2') && str_contains(file_get_contents('php://input'), 'goodbye')) {
	file_put_contents($held, '');
	for ($i = 0; $i < 1000 && file_exists($held); $i++) { usleep(20_000); clearstatcache(); }
}
`

func startChat(t *testing.T) *chat {
	t.Helper()
	dir := stack.Scripts(t, map[string]string{"hold.php": hold})
	fpm := stack.FPM(t, stack.FPMOptions{Children: 10, Ini: map[string]string{"auto_append_file": dir + "/hold.php"}})
	public := filepath.Join(stack.ChatFolder(t), "public")
	c := &chat{redis: stack.Redis(t, stack.RedisOptions{}), second: stack.FreeAddress(t), both: stack.FreeAddress(t), held: filepath.Join(dir, "held")}
	c.link = stack.Proxy(t, c.redis.Addr)
	store, redis := stack.TempDir(t), "redis://"+c.link.Addr+"/0"
	for i := range c.nodes {
		c.nodes[i] = stack.Gateway(t, stack.GatewayOptions{Node: fmt.Sprint("node", i+1), FPM: fpm, Redis: redis,
			Routes: stack.ChatTables(t, redis, store)})
	}
	server := func(listen, backend string) string {
		return fmt.Sprintf(`server { listen %s; root %s; index index.php;
	location /ws/ { proxy_pass http://%s; proxy_http_version 1.1;
		proxy_set_header Upgrade $wsfpm_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host;
		proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; proxy_read_timeout 75s; }
	location ~ \.php$ { include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
		fastcgi_pass unix:%s; } }
`, listen, public, backend, fpm.Socket)
	}
	c.nginx = stack.Nginx(t, fmt.Sprintf(`map $http_upgrade $wsfpm_upgrade { default ""; websocket websocket; }
upstream nodes { server %s max_fails=0; server %s backup; }
`, c.nodes[1].Listen, c.nodes[0].Listen)+
		server("LISTEN", c.nodes[0].Listen)+server(c.second, c.nodes[1].Listen)+server(c.both, "nodes"))
	return c
}

// do is what the browser program asks for.
func (c *chat) do(t *testing.T, word string) {
	t.Helper()
	switch word {
	case "push":
		push := filepath.Join(stack.Root(t), "examples", "php", "push.php")
		out, err := exec.Command("php", push, "--redis", "redis://"+c.redis.Addr, "user:Bob", "Only for Bob").CombinedOutput()
		if err != nil {
			t.Errorf("push.php: %v\n%s", err, out)
		}
	case "stop":
		if code := c.nodes[1].Stop(t); code != 0 {
			t.Errorf("the second node ended with %d, want 0", code)
		}
	case "start":
		c.nodes[1].Start(t)
	case "kill with a message in flight":
		stack.Wait(t, "a message that PHP has stored", func() bool { _, err := os.Stat(c.held); return err == nil })
		c.nodes[1].Kill()
		if err := os.Remove(c.held); err != nil {
			t.Error(err)
		}
	case "stop redis":
		c.redis.Stop()
	case "start redis":
		c.redis.Start(t)
	case "cut redis":
		c.link.Cut()
	case "mend redis":
		c.link.Mend()
	default:
		t.Errorf("the browser asked for %q", word)
	}
}

func TestTwoPeopleChatOnTwoNodes(t *testing.T) {
	t.Parallel()
	program := node(t)
	stack.Tool(t, "php-cli", "php")
	c := startChat(t)
	shots := screenshots(t)
	drive(t, []string{program, "chat.mjs", c.nginx.URL(), "http://" + c.second, shots}, func(word string) { c.do(t, word) })
}

// One node of the chat is killed while people on both type: no message is missing or
// double, and who is here is right on the pages that remain, also about a person who was on
// the dead node and does not come back.
func TestTheChatSurvivesANodesDeath(t *testing.T) {
	t.Parallel()
	program := node(t)
	contract.Row(t, "7.ok", "8.presence", "8.dead-presence")
	c := startChat(t)
	drive(t, []string{program, "death.mjs", c.nginx.URL(), "http://" + c.both, "http://" + c.second, screenshots(t)},
		func(word string) { c.do(t, word) })
}

// Two tabs are one person, whatever rooms they are in. While Redis is away the page says that
// who is here is unknown, and keeps what is written until Redis is back.
func TestTheChatWithTwoTabsAndWithoutRedis(t *testing.T) {
	t.Parallel()
	program := node(t)
	c := startChat(t)
	drive(t, []string{program, "tabs.mjs", c.nginx.URL(), "http://" + c.second, screenshots(t)}, func(word string) { c.do(t, word) })
}

// screenshots returns the folder for pictures of the pages, and names it if the test fails.
func screenshots(t *testing.T) string {
	t.Helper()
	shots := os.Getenv("WSFPM_SHOTS")
	if shots == "" {
		shots = filepath.Join(stack.Root(t), "build", "screenshots")
	}
	if err := os.MkdirAll(shots, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("screenshots in %s", shots)
		}
	})
	return shots
}

// drive runs a browser program to its end, and does what it asks for by lines
// "do WORD".
func drive(t *testing.T, args []string, do func(word string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		t.Log(lines.Text())
		if word, asked := strings.CutPrefix(lines.Text(), "do "); asked {
			do(word)
			io.WriteString(in, "done\n")
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v", args[1], err)
	}
}
