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
	dir := stack.Scripts(t, nil)
	g := stack.Gateway(t, stack.GatewayOptions{FPM: fpm, Limits: "messages_per_second = 0", Routes: fmt.Sprintf(
		"[[route]]\npath = \"/ws\"\nscript = %q\nmessage_limit = \"16MiB\"\nanswer_limit = \"16MiB\"\n", dir+"/echo.php")})
	if err := os.WriteFile(filepath.Join(dir, "page.html"), []byte("<!doctype html><title>echo</title>"), 0o644); err != nil {
		t.Fatal(err)
	}
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

// chat is the chat with two nodes behind nginx: one server port pinned to each.
type chat struct {
	redis  *stack.RedisServer
	nodes  [2]*stack.GatewayServer
	nginx  *stack.NginxServer
	second string // nginx's address for the second node
}

func startChat(t *testing.T) *chat {
	t.Helper()
	fpm := stack.FPM(t, stack.FPMOptions{Children: 10})
	public := filepath.Join(stack.Root(t), "examples", "php", "chat", "public")
	script := filepath.Join(filepath.Dir(public), "ws.php")
	c := &chat{redis: stack.Redis(t, stack.RedisOptions{}), second: stack.FreeAddress(t)}
	store := stack.TempDir(t)
	for i := range c.nodes {
		c.nodes[i] = stack.Gateway(t, stack.GatewayOptions{Node: fmt.Sprint("node", i+1), FPM: fpm, Redis: c.redis.URL(), Routes: fmt.Sprintf(`
[[route]]
path = "/ws/chat"
script = %q
accept = "header"
params = { CHAT_DIR = %q }
on_error = "message"
error_message = '{"type":"error","text":"The server could not do that."}'
`, script, store)})
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
	c.nginx = stack.Nginx(t, `map $http_upgrade $wsfpm_upgrade { default ""; websocket websocket; }
`+server("LISTEN", c.nodes[0].Listen)+server(c.second, c.nodes[1].Listen))
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
	default:
		t.Errorf("the browser asked for %q", word)
	}
}

func TestTwoPeopleChatOnTwoNodes(t *testing.T) {
	program := node(t)
	stack.Tool(t, "php-cli", "php")
	c := startChat(t)
	shots := os.Getenv("WSFPM_SHOTS")
	if shots == "" {
		shots = filepath.Join(stack.Root(t), "build", "screenshots")
	}
	if err := os.MkdirAll(shots, 0o755); err != nil {
		t.Fatal(err)
	}
	drive(t, []string{program, "chat.mjs", c.nginx.URL(), "http://" + c.second, shots}, func(word string) { c.do(t, word) })
	if t.Failed() {
		t.Logf("screenshots in %s", shots)
	}
}

// drive runs a browser program to its end, and does what it asks for by lines
// "do WORD".
func drive(t *testing.T, args []string, do func(word string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stderr = os.Stderr
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
