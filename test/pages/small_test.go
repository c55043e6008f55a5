package pages

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"wsfpm/test/stack"
)

// Each is a whole configuration with the parts that it does not have.
func TestConfigurationsOfPages(t *testing.T) {
	stack.Integration(t)
	for _, page := range []string{"docs/deploy.md", "docs/frameworks.md", "docs/durable.md", "deploy/nginx/README.md", "examples/php/README.md"} {
		for i, text := range blocks(t, page, "toml") {
			for has, more := range map[string]string{
				"[fpm.":     "\n[fpm.default]\naddress = \"unix:/run/php/wsfpm.sock\"\n",
				"[redis]":   "\n[redis]\nurl = \"redis://127.0.0.1:6379\"\n",
				"[[route]]": "\n[[route]]\npath = \"/ws\"\nscript = \"/srv/app/ws.php\"\n",
			} {
				if !strings.Contains(text, has) {
					text += more
				}
			}
			file := filepath.Join(stack.TempDir(t), "wsfpm.toml")
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if out, code := stack.Command(t, "check", "--config", file); code != 0 {
				t.Errorf("%s, block %d: %s", page, i+1, out)
			}
		}
	}
}

func TestThePushOfTheReadme(t *testing.T) {
	toUser42(t, blocks(t, "README.md", "php")[0]).Expect("your order has been shipped")
}

func TestAnAppendFromPHP(t *testing.T) {
	toUser42(t, blocks(t, "docs/durable.md", "php")[0]).Expect(`{"id":7,"status":"shipped"}`)
}

// toUser42 runs a line of PHP that pushes to user 42, with $redis, and returns a client of that user.
func toUser42(t *testing.T, line string) *stack.Client {
	t.Helper()
	s := serve(t, map[string]string{
		"ws/user.php": `<?php if ($_SERVER['WS_EVENT'] === 'connect') header('WS-User: 42');`,
		"push.php":    "<?php " + connected + line,
	})
	c := stack.Dial(t, s.URL+"/ws/user", stack.DialOptions{})
	s.php("push.php")
	return c
}

// connected is $redis, as the lines of the pages expect it.
const connected = "$redis = new Redis(); $redis->connect(getenv('REDIS_HOST'), (int) getenv('REDIS_PORT'));\n"

func TestTheChatOfTheContract(t *testing.T) {
	s := open(t, "docs/contract.md", nil)
	if r := stack.Refused(t, s.URL+"/ws/chat", stack.DialOptions{}); r.Status != 401 || r.Body != "log in first" {
		t.Errorf("without a login: got %d %q, want 401", r.Status, r.Body)
	}
	c := stack.Dial(t, s.URL+"/ws/chat", stack.DialOptions{Cookie: s.login(`user|s:2:"42";`)})
	c.Expect(`{"hello":"42"}`)
	c.Send("hi")
	c.Expect(`{"from":"42","text":"hi"}`)
	s.redisValue("PUBLISH", "ws:user:42", `{"order":"shipped"}`)
	c.Expect(`{"order":"shipped"}`)
}

func TestTheCommandsOfTheContract(t *testing.T) {
	lines := strings.TrimSpace(blocks(t, "docs/contract.md", "json")[0])
	s := serve(t, map[string]string{"ws/commands.php": `<?php
		if ($_SERVER['WS_EVENT'] !== 'message') exit;
		header('Content-Type: application/vnd.wsfpm+json');
		echo '[', file_get_contents('php://input'), ', {"data": "applied"}]';`})
	c := stack.Dial(t, s.URL+"/ws/commands", stack.DialOptions{})
	for line := range strings.Lines(lines) {
		c.Send(line)
		if strings.Contains(line, `"any"`) {
			c.Expect(`{"any":"json"}`)
		}
		c.Expect("applied")
	}
}

func TestOneConnectionPerUser(t *testing.T) {
	code := blocks(t, "docs/contract.md", "php")[0]
	s := serve(t, map[string]string{"ws/one.php": "<?php if ($_SERVER['WS_EVENT'] !== 'connect') exit;\n$me = 'ann';\n" + code})
	first := stack.Dial(t, s.URL+"/ws/one", stack.DialOptions{})
	first.Expect("welcome")
	second := stack.Dial(t, s.URL+"/ws/one", stack.DialOptions{})
	second.Expect("welcome")
	if reason := first.ExpectClose(4001); reason != "signed in elsewhere" {
		t.Errorf("closed with %q", reason)
	}
}

func TestThePageOfTheProtocol(t *testing.T) {
	script := blocks(t, "docs/contract.md", "js")[0]
	s := serve(t, map[string]string{"ws/chat.php": `<?php if ($_SERVER['WS_EVENT'] === 'message') echo file_get_contents('php://input');`})
	s.openPage(script, "").expect(`{"text":"hi"}`)
}

func TestTheLinesForRedis(t *testing.T) {
	stack.Integration(t)
	var args []string
	for line := range strings.Lines(blocks(t, "docs/deploy.md", "")[0]) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			args = append(args, "--"+name, value)
		}
	}
	s := &site{t: t, redis: stack.Redis(t, stack.RedisOptions{Args: args})}
	if got := s.redisValue("CONFIG", "GET", "client-output-buffer-limit"); !strings.Contains(got, "pubsub 268435456 67108864 60") {
		t.Errorf("got %s", got)
	}
	if got := s.redisValue("CONFIG", "GET", "tcp-backlog"); !strings.Contains(got, "8192") {
		t.Errorf("got %s", got)
	}
}

func TestPrometheusTakesTheConfiguration(t *testing.T) {
	promtool := stack.Tool(t, "prometheus", "promtool")
	text := blocks(t, "docs/metrics.md", "yaml")[0]
	alerts := filepath.Join(stack.Root(t), "deploy/prometheus/alerts.yml")
	file := filepath.Join(stack.TempDir(t), "prometheus.yml")
	if err := os.WriteFile(file, []byte(strings.Replace(text, "/etc/prometheus/wsfpm-alerts.yml", alerts, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), promtool, "check", "config", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1 rule files found") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestNginxTakesTheMainDirectives(t *testing.T) {
	nginx := stack.Tool(t, "nginx", "nginx", "/usr/sbin/nginx")
	dir := stack.TempDir(t)
	file := filepath.Join(dir, "nginx.conf")
	text := "pid " + dir + "/pid;\n" + strings.Join(blocks(t, "deploy/nginx/README.md", "nginx"), "") + "http { access_log off; }\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), nginx, "-t", "-e", "stderr", "-p", dir, "-c", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// commands are the lines of a shell block, without their comments.
func commands(t *testing.T, page string) (all []string) {
	t.Helper()
	for line := range strings.Lines(blocks(t, page, "sh")[0]) {
		line, _, _ = strings.Cut(line, "   #")
		all = append(all, strings.TrimSpace(line))
	}
	return all
}

func TestTheExamplesRun(t *testing.T) {
	stack.Integration(t)
	for _, line := range commands(t, "examples/php/README.md") {
		args := strings.Fields(line)
		if strings.Join(args[:2], " ") != "wsfpm dev" {
			t.Fatalf("not wsfpm dev: %s", line)
		}
		s := stack.Dev(t, stack.Root(t), nil, args[2:]...)
		path := "/test.html"
		if strings.HasSuffix(line, "chat") {
			path = "/"
		}
		if got := stack.HTTP(t, "GET", "http://"+s.Address+path, nil); got.Status != 200 || !strings.Contains(got.Body, "<html") {
			t.Errorf("%s: got %d %.200s", line, got.Status, got.Body)
		}
	}
}

// shell runs a command in the folder of the examples.
func shell(t *testing.T, line string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir = filepath.Join(stack.Root(t), "examples/php")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
	return string(out)
}

func TestThePushesOfTheExamples(t *testing.T) {
	stack.Integration(t)
	r := stack.Redis(t, stack.RedisOptions{})
	rdb := redis.NewClient(&redis.Options{Addr: r.Addr})
	defer rdb.Close()
	heard := rdb.PSubscribe(t.Context(), "ws:*")
	defer heard.Close()
	if _, err := heard.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"ws:user:Mara Your order has been shipped", `ws:channel:room.lobby {"type":"notice","text":"Tea is ready"}`,
		`ws:command {"to":"user:Mara","close":{"code":4001,"reason":"come back tomorrow"}}`}
	lines := commands(t, "examples/php/README.md")
	address := strings.Replace(lines[0], "127.0.0.1:PORT", r.Addr, 1)
	for i, line := range lines[1:] {
		shell(t, address+"\n"+line)
		m := <-heard.Channel()
		if got := m.Channel + " " + m.Payload; got != want[i] {
			t.Errorf("got %s, want %s", got, want[i])
		}
	}
}

func TestATokenFromTheShell(t *testing.T) {
	stack.Integration(t)
	token := shell(t, strings.Join(commands(t, "examples/php/README.md"), "\n"))
	if strings.Count(token, ".") != 2 {
		t.Errorf("got %q, want a token", token)
	}
}
