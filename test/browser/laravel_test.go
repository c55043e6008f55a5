package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// laravelPage is the page of docs/frameworks.md, with its code.
const laravelPage = `<!doctype html><title>Echo</title>
<script type="importmap">{"imports": {"laravel-echo": "/js/laravel-echo.js", "wsfpm-client/echo": "/js/echo.js"}}</script>
<script type="module">
window.shown = []
const show = (what, about) => window.shown.push([what, about])
%s
window.echo = echo
</script>`

// A laravel is a project with Debian's Laravel, the package of client/php and the files of
// docs/frameworks.md.
type laravel struct {
	dir   string
	redis *stack.RedisServer
	g     *stack.GatewayServer
	web   *stack.NginxServer

	options stack.GatewayOptions // of g
}

func startLaravel(t *testing.T) *laravel {
	t.Helper()
	stack.Integration(t)
	l := &laravel{dir: stack.TempDir(t), redis: stack.Redis(t, stack.RedisOptions{})}
	root := stack.Root(t)
	for _, project := range []string{filepath.Join(root, "test/pages/testdata/laravel"), "testdata/laravel"} {
		copies(t, project+"/.", l.dir)
	}
	var code, routes string
	for _, block := range laravelBlocks(t) {
		switch name := regexp.MustCompile(`^<\?php // ([\w./]+)`).FindStringSubmatch(block[1]); {
		case block[0] == "js":
			code = block[1]
		case block[0] == "toml":
			another := strings.Replace(block[1][:strings.Index(block[1], "\n\n")], "/ws/echo", "/ws/closure", 1)
			routes = strings.ReplaceAll(another+"\n"+block[1], "/srv/app", l.dir)
		default:
			writes(t, filepath.Join(l.dir, name[1]), block[1])
		}
	}
	l.discovers(t)
	for name, old := range map[string]string{"config/app.php": "'debug' => false", "config/database.php": "getenv('REDIS_PORT') ?: 6379"} {
		text, err := os.ReadFile(filepath.Join(l.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		with := map[string]string{"config/app.php": "'debug' => true", "config/database.php": strings.TrimPrefix(l.redis.Addr, "127.0.0.1:")}[name]
		text = []byte(strings.Replace(string(text), "Wsfpm\\Laravel\\WsfpmServiceProvider::class,", "", 1))
		writes(t, filepath.Join(l.dir, name), strings.Replace(string(text), old, with, 1))
	}
	for _, name := range []string{"live.js", "echo.js"} {
		copies(t, filepath.Join(root, "client/js", name), filepath.Join(l.dir, "public/js", name))
	}
	copies(t, "node_modules/laravel-echo/dist/echo.js", filepath.Join(l.dir, "public/js/laravel-echo.js"))
	writes(t, filepath.Join(l.dir, "public/page.html"), fmt.Sprintf(laravelPage, code))
	fpm := stack.FPM(t, stack.FPMOptions{Children: 6})
	l.options = stack.GatewayOptions{FPM: fpm, Redis: l.redis.URL(), Routes: routes, Limits: "messages_per_second = 0"}
	l.g = stack.Gateway(t, l.options)
	l.web = stack.Nginx(t, fmt.Sprintf(`
map $http_upgrade $wsfpm_upgrade { default ""; websocket websocket; }
server { listen LISTEN; root %s/public; include /etc/nginx/mime.types;
	location / { try_files $uri @laravel; }
	location @laravel { fastcgi_pass unix:%s; include /etc/nginx/fastcgi_params; fastcgi_param HTTP_HOST $http_host;
		fastcgi_param SCRIPT_FILENAME $document_root/index.php; fastcgi_param SCRIPT_NAME /index.php; }
	location /ws/ { proxy_pass http://%s; proxy_http_version 1.1;
		proxy_set_header Upgrade $wsfpm_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host;
		proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; proxy_read_timeout 75s; } }`, l.dir, fpm.Socket, l.g.Listen))
	return l
}

// laravelBlocks are language and text of the page's blocks that TestLaravelEcho runs.
func laravelBlocks(t *testing.T) (blocks [][]string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(stack.Root(t), "docs/frameworks.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)<!-- run by test/browser.TestLaravelEcho -->\n```(\\w+)\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		blocks = append(blocks, m[1:])
	}
	if len(blocks) != 5 {
		t.Fatalf("docs/frameworks.md has %d blocks for this test, want 5", len(blocks))
	}
	return blocks
}

// discovers writes what Composer does, so that Laravel finds the package's provider by itself.
func (l *laravel) discovers(t *testing.T) {
	t.Helper()
	client := filepath.Join(stack.Root(t), "client/php")
	if err := os.Symlink(client, filepath.Join(l.dir, "vendor/wsfpm")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(client, "composer.json"))
	if err != nil {
		t.Fatal(err)
	}
	writes(t, filepath.Join(l.dir, "vendor/composer/installed.json"), `{"packages": [`+string(text)+`]}`)
	writes(t, filepath.Join(l.dir, "storage/.keep"), "")
	writes(t, filepath.Join(l.dir, "bootstrap/cache/.keep"), "")
}

// login returns the cookie of a user's session.
func (l *laravel) login(t *testing.T, id string) string {
	t.Helper()
	r := stack.HTTP(t, "GET", l.web.URL()+"/login?id="+id, nil)
	if r.Body != "in" {
		t.Fatalf("log in: %d %s", r.Status, r.Body)
	}
	var all []string
	for _, line := range r.Header.Values("Set-Cookie") {
		all = append(all, strings.SplitN(line, ";", 2)[0])
	}
	return strings.Join(all, "; ")
}

// The page of docs/frameworks.md: public, private and presence channels, whispers, toOthers,
// the end of a right, and a restart of the gateway.
func TestLaravelEcho(t *testing.T) {
	t.Parallel()
	program := node(t)
	l := startLaravel(t)
	drive(t, []string{program, "laravel.mjs", l.web.URL()}, func(word string) {
		switch word {
		case "restart":
			l.g.Restart(t)
		case "stop redis":
			l.redis.Stop()
		case "start redis":
			l.redis.Start(t)
			stack.Wait(t, "the gateway to hear Redis", l.g.Ready)
		case "notify":
			l.redis.Publish(t, "ws:channel:echo:private-orders.7",
				`{"event":"Illuminate\\Notifications\\Events\\BroadcastNotificationCreated","channel":"private-orders.7","data":{"id":1}}`)
		default:
			t.Errorf("the browser asked for %q", word)
		}
	})
	for _, line := range l.g.LogLines("warn") {
		refused := strings.Contains(line.Text("php"), "Connection refused") // by Redis, which was away
		if msg := line.Text("msg"); msg == "script wrote to stderr" && !refused || strings.HasPrefix(msg, "command") {
			t.Errorf("the gateway complained: %v", line)
		}
	}
	stack.Wait(t, "an empty list of members", func() bool { return l.redis.Do(t, "EXISTS", "ws:members:echo:presence-room.1") == "0" })
}

// echoClient is a client of EchoHandler.
type echoClient struct {
	*stack.Client
	t    *testing.T
	conn string
}

func (l *laravel) dial(t *testing.T, cookie string) *echoClient {
	t.Helper()
	c := &echoClient{Client: stack.Dial(t, "ws://"+l.web.Addr+"/ws/echo", stack.DialOptions{Cookie: cookie, Host: l.web.Addr}), t: t}
	var hello struct{ Socket string }
	if err := json.Unmarshal(c.Next().Data, &hello); err != nil || hello.Socket == "" {
		t.Fatalf("connect's body: %v", err)
	}
	c.conn = hello.Socket
	return c
}

// ask sends a message and wants this reply.
func (c *echoClient) ask(message, want string) {
	c.t.Helper()
	c.Send(message)
	if got := string(c.Next().Data); got != want {
		c.t.Errorf("%.100s: got %.300s, want %s", message, got, want)
	}
}

func TestLaravelRefusesHostileMessages(t *testing.T) {
	t.Parallel()
	l := startLaravel(t)
	ann, bob, guest := l.dial(t, l.login(t, "7")), l.dial(t, l.login(t, "9")), l.dial(t, "")
	long := strings.Repeat("x", 200)
	for _, test := range []struct{ message, want string }{
		{`{"subscribe":["private-orders.7"]}`, `{"private-orders.7":{"status":403}}`},
		{`{"subscribe":["private-broken","presence-bytes","shop"]}`, `{"private-broken":{"status":500},"presence-bytes":{"status":500},"shop":{"status":200}}`},
		{`{"subscribe":["private-encrypted-any.1","private-none","presence-","private-",""]}`,
			`{"private-encrypted-any.1":{"status":400},"private-none":{"status":403},"presence-":{"status":403},"private-":{"status":403},"":{"status":400}}`},
		{`{"subscribe":["` + long + `"]}`, `{"` + long + `":{"status":400}}`},
		{`{"subscribe":["private-any.a,b;*","5","lobby"]}`, `{"private-any.a,b;*":{"status":200},"5":{"status":200},"lobby":{"status":200}}`},
		{`{"subscribe":["private-orders.7\n","private-any.1\u0000"]}`, `{"private-orders.7\n":{"status":403},"private-any.1\u0000":{"status":200}}`},
		{`{"subscribe":[["private-any.2"]]}`, `{"status":400}`},
		{`{"subscribe":{"0":"private-any.2"}}`, `{"status":400}`},
		{`{"subscribe":"private-any.2"}`, `{"status":400}`},
		{`{"subscribe":[` + strings.Repeat(`"a",`, 60) + `"a"]}`, `{"status":400}`},
		{`{"whisper":"typing","channel":"private-orders.7","data":1}`, `{"status":403}`},
		{`{"whisper":"typing","channel":"shop","data":1}`, `{"status":403}`},
		{`{"whisper":["typing"],"channel":"private-any.1"}`, `{"status":400}`},
		{`{"whisper":{"a":1},"channel":{"b":2}}`, `{"status":400}`},
		{`{"whisper":"` + long + `x","channel":"private-any.a,b;*"}`, `{"status":400}`},
		{`{"whisper":"typing","channel":"private-any.a,b;*","data":[1e999]}`, `{"status":400}`},
		{`{"leave":["shop"]}`, `{"status":400}`},
		{`{"leave":"*"}`, `{"status":200}`},
		{`[1]`, `{"status":400}`}, {`7`, `{"status":400}`}, {`null`, `{"status":400}`}, {`"x"`, `{"status":400}`}, {`{`, `{"status":400}`},
		{strings.Repeat(`{"a":`, 450) + "1" + strings.Repeat("}", 450), `{"status":400}`},
	} {
		bob.ask(test.message, test.want)
	}
	guest.ask(`{"subscribe":["private-any.1","presence-any.1","shop"]}`, `{"private-any.1":{"status":403},"presence-any.1":{"status":403},"shop":{"status":200}}`)

	// A name that is a channel of the site's own joins another one.
	l.redis.Do(t, "PUBLISH", "ws:channel:lobby", "for the site's own channel")
	// A whisper is a client event of its page under any name, and its objects stay as they are.
	ann.ask(`{"subscribe":["private-any.a,b;*"]}`, `{"private-any.a,b;*":{"status":200}}`)
	ann.ask(`{"whisper":"App\\OrderShipped","channel":"private-any.a,b;*","data":{"a":{},"b":[],"c":1.0}}`, `{"status":200}`)
	bob.Expect(`{"event":"client-App\\OrderShipped","channel":"private-any.a,b;*","data":{"a":{},"b":[],"c":1.0}}`)

	// An X-Socket-ID that can be none excludes no connection, and fails nothing.
	ann.ask(`{"subscribe":["private-orders.7"]}`, `{"private-orders.7":{"status":200}}`)
	for _, id := range []string{"x,y", "all", strings.Repeat("x", 300), ann.conn} {
		if r := stack.HTTP(t, "GET", l.web.URL()+"/ship", http.Header{"X-Socket-Id": {id}}); r.Body != "shipped" {
			t.Errorf("X-Socket-ID %.20s: got %d %.300s", id, r.Status, r.Body)
		}
		bob.Expect(`{"event":"App\\OrderShipped","channel":"shop","data":{"order":7}}`)
		if id != ann.conn {
			ann.Expect(`{"event":"App\\OrderShipped","channel":"private-orders.7","data":{"order":7}}`)
		}
	}
	ann.ask(`{"leave":"shop"}`, `{"status":200}`)
	if log := l.g.LogText(); strings.Contains(log, "malformed") {
		t.Errorf("the gateway got a malformed answer:\n%.3000s", log)
	}
}

// A route for events is none for the web, and a login that changes ends the connection.
func TestLaravelKnowsItsUser(t *testing.T) {
	t.Parallel()
	l := startLaravel(t)
	cookie := l.login(t, "7")
	for _, path := range []string{"/ws/echo", "/ws/chat"} {
		for _, method := range []string{"GET", "POST"} {
			h := http.Header{"Cookie": {cookie}, "Ws-Event": {"connect"}, "Wsfpm-Ws_event": {"connect"}}
			if r := stack.HTTP(t, method, strings.Replace(l.web.URL()+path, "/ws/", "/index.php/ws/", 1), h); r.Status != 404 {
				t.Errorf("%s %s from the web: got %d", method, path, r.Status)
			}
		}
	}
	if r := stack.Refused(t, "ws://"+l.web.Addr+"/ws/chat", stack.DialOptions{Host: l.web.Addr}); r.Status != 401 {
		t.Errorf("without a login: got %d %.200s", r.Status, r.Body)
	}
	chat := stack.Dial(t, "ws://"+l.web.Addr+"/ws/chat", stack.DialOptions{Cookie: cookie, Host: l.web.Addr})
	chat.Expect(`{"hello":7}`)
	chat.Send(`{"text":"hi"}`)
	chat.Expect(`{"from":"7","said":{"text":"hi"}}`)

	closure := stack.Dial(t, "ws://"+l.web.Addr+"/ws/closure?say=hi", stack.DialOptions{Host: l.web.Addr})
	closure.Expect("hi")
	closure.Send("ho")
	closure.Expect(`{"got":"ho"}`)

	admin := l.dial(t, l.login(t, "9&guard=admin"))
	admin.ask(`{"subscribe":["private-admins","private-any.1"]}`, `{"private-admins":{"status":200},"private-any.1":{"status":403}}`)

	ann := l.dial(t, cookie)
	ann.ask(`{"subscribe":["private-orders.7","private-admins"]}`, `{"private-orders.7":{"status":200},"private-admins":{"status":403}}`)
	stack.HTTP(t, "GET", l.web.URL()+"/logout", http.Header{"Cookie": {cookie}})
	ann.Send(`{"subscribe":["private-any.1"]}`)
	ann.ExpectClose(4401)
}

// An event that runs while a page logs out does not bring the login back, and what a handler
// puts into the session stays.
func TestLaravelKeepsTheSessionsState(t *testing.T) {
	t.Parallel()
	l := startLaravel(t)
	cookie := l.login(t, "7")
	get := func(path, want string) {
		t.Helper()
		if r := stack.HTTP(t, "GET", l.web.URL()+path, http.Header{"Cookie": {cookie}}); r.Body != want {
			t.Errorf("%s: got %d %.300s, want %s", path, r.Status, r.Body, want)
		}
	}
	c := stack.Dial(t, "ws://"+l.web.Addr+"/ws/closure?say=hi", stack.DialOptions{Cookie: cookie, Host: l.web.Addr})
	c.Expect("hi")
	c.Send("count")
	c.Expect(`{"got":"count"}`)
	get("/who", "7 1")
	c.Send("hold")
	l.releases(t, func() { get("/logout", "out") })
	c.Expect(`{"got":"hold"}`)
	get("/who", "guest 1")
}

// releases waits until a handler holds, and lets it go on after meanwhile.
func (l *laravel) releases(t *testing.T, meanwhile func()) {
	t.Helper()
	held := filepath.Join(l.dir, "storage/held")
	stack.Wait(t, "the handler", func() bool { _, err := os.Stat(held); return err == nil })
	meanwhile()
	if err := os.Remove(held); err != nil {
		t.Fatal(err)
	}
}

// A stream comes line by line, on connect whole; what fails in it is no message.
func TestLaravelStreams(t *testing.T) {
	t.Parallel()
	l := startLaravel(t)
	c := stack.Dial(t, "ws://"+l.web.Addr+"/ws/closure?say=lines", stack.DialOptions{Host: l.web.Addr})
	c.Expect("one")
	c.Expect(`{"n":2}`)
	c.Send("lines")
	l.releases(t, func() { c.Expect("one") })
	c.Expect(`{"n":2}`)
	c.Send("breaks")
	c.Expect("one")
	c.Send("next")
	c.Expect(`{"got":"next"}`)
	if log := l.g.LogText(); !strings.Contains(log, "a-secret-of-the-stream") {
		t.Error("the log does not say what has failed")
	}
}

// A member whose disconnect event was lost, as while PHP is away for long, is in no new list,
// and the others hear that it has left.
func TestLaravelForgetsLostMembers(t *testing.T) {
	t.Parallel()
	l := startLaravel(t)
	const list, room = "ws:members:echo:presence-room.1", `{"subscribe":["presence-room.1"]}`
	writes(t, filepath.Join(l.dir, "config/broadcasting.php"), // a connection of the package's own
		"<?php return ['default' => 'wsfpm', 'connections' => ['wsfpm' => ['driver' => 'wsfpm', 'url' => '"+l.redis.URL()+"']]];")
	now := fmt.Sprint(time.Now().Unix())
	l.redis.Do(t, "HSET", list, "conn:lost", "1\nuser:5\n{\"id\":5}", "conn:uncounted", now+"\nuser:6\n{\"id\":6}", "conn:odd", "what no version writes")
	ann, bob := l.dial(t, l.login(t, "7")), l.dial(t, l.login(t, "9"))
	ann.Send(room)
	got := string(ann.Next().Data) + string(ann.Next().Data) // the list may come before the reply
	if !strings.Contains(got, `["user:7",{"id":7,"name":"Ann"}]`) || !strings.Contains(got, `["user:6",{"id":6}]`) || strings.Contains(got, "user:5") {
		t.Errorf("the list: got %s, want the users 6 and 7", got)
	}
	stack.Wait(t, "a member that is counted", func() bool {
		return l.redis.Do(t, "HEXISTS", "ws:presence:channel:echo:presence-room.1", "user:7") == "1"
	})
	l.redis.Do(t, "HSET", list, "conn:uncounted", "1\nuser:6\n{\"id\":6}", "conn:"+ann.conn, "1\nuser:7\n{\"id\":7}")
	bob.Send(room)
	ann.Expect(`{"channel":"presence-room.1","joined":[["user:9",{"id":9,"name":"Bob"}]],"left":["user:6"]}`)
	bob.Close(1000, "")
	ann.Expect(`{"channel":"presence-room.1","joined":[],"left":["user:9"]}`)
}

// A node dies: its members leave, with the disconnect events that another one runs.
func TestSoakLaravelMembersOfADeadNodeLeave(t *testing.T) {
	l := startLaravel(t)
	ann := l.dial(t, l.login(t, "7"))
	other := stack.Gateway(t, l.options)
	bob := stack.Dial(t, other.URL+"/ws/echo", stack.DialOptions{Cookie: l.login(t, "9")})
	bob.Next()
	for _, c := range []*stack.Client{ann.Client, bob} {
		c.Send(`{"subscribe":["presence-room.1"]}`)
		c.Next()
		c.Next()
	}
	ann.Expect(`{"channel":"presence-room.1","joined":[["user:9",{"id":9,"name":"Bob"}]],"left":[]}`)
	other.Kill()
	left := func() bool { return l.redis.Do(t, "HLEN", "ws:members:echo:presence-room.1") == "1" }
	if !stack.Poll(3*time.Minute, time.Second, left) { // 45 s to a minute, on a busy machine more
		t.Fatal("a dead node's member is still there")
	}
	ann.Expect(`{"channel":"presence-room.1","joined":[],"left":["user:9"]}`)
}
