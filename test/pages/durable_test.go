package pages

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

const durable = "docs/durable.md"

// keep runs a gateway on ws/{script} of the site's files, with further lines in the route.
func (s *site) keep(lines string) {
	s.t.Helper()
	s.start("[[route]]\npath = \"/ws/{script}\"\nroot = \"/srv/app/ws\"\n" + lines)
}

// newSite returns a site without files and without a gateway.
func newSite(t *testing.T) *site {
	t.Helper()
	stack.Integration(t)
	return &site{t: t, dir: stack.TempDir(t), redis: stack.Redis(t, stack.RedisOptions{})}
}

// with puts $redis before a script, and $db, an SQLite with these tables, if there are any.
func (s *site) with(tables, script string) string {
	host, port, _ := net.SplitHostPort(s.redis.Addr)
	before := fmt.Sprintf("$redis = new Redis(); $redis->connect('%s', %s); ", host, port)
	if tables != "" {
		before += fmt.Sprintf("$db = new PDO('sqlite:%s'); $db->exec('%s'); ", filepath.Join(s.dir, "site.db"), tables)
	}
	return "<?php " + before + strings.TrimPrefix(script, "<?php")
}

// run runs PHP with $redis and $db, and returns what it prints.
func (s *site) run(tables, code string) string {
	s.t.Helper()
	s.write("run.php", s.with(tables, code))
	return s.php("run.php")
}

// module is a page's script without its import, which the runner of pages has.
func module(code, more string) string {
	return strings.Replace(code, "import ", "// import ", 1) + more
}

// session is the cookie of a person who is logged in.
func (s *site) session(user string) string {
	return s.login(fmt.Sprintf(`user|s:%d:"%s";`, len(user), user))
}

// orders is the table of the shop.
const orders = "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, user TEXT, status TEXT)"

func TestTheOrderPage(t *testing.T) {
	s := newSite(t)
	s.write("ws/orders.php", s.with(orders, blocks(t, durable, "php")[0]))
	s.keep("resume = true\n")
	becomes := func(status string) {
		s.run(orders, fmt.Sprintf(`$db->exec("REPLACE INTO orders VALUES (7, 'ann', '%[1]s')");
			$redis->rawCommand('XADD', 'ws:log', '*', 'to', 'user:ann', 'data', json_encode(['id' => 7, 'status' => '%[1]s']));`, status))
	}
	becomes("paid")
	js := blocks(t, durable, "js")
	first := s.openPage(module(js[0], ""), s.session("ann"))
	first.expect(`{"orders":[{"id":7,"status":"paid"}]}`)
	second := s.openPage(module(js[1], "const render = list => show([...list])\n"), s.session("ann"))
	second.expect(`[[7,"paid"]]`)
	becomes("packed")
	first.expect(`{"id":7,"status":"packed"}`)
	second.expect(`[[7,"packed"]]`)
	s.Kill()
	becomes("shipped")
	s.Start(t)
	first.expect(`{"id":7,"status":"shipped"}`) // missed, and no state again
	second.expect(`[[7,"shipped"]]`)
	if r := stack.Refused(t, s.URL+"/ws/orders", stack.DialOptions{}); r.Status != 401 {
		t.Errorf("without a login: got %d, want 401", r.Status)
	}
}

// payments is the table of the shop's payments.
const payments = "CREATE TABLE IF NOT EXISTS payments (user TEXT NOT NULL, message TEXT NOT NULL, amount INTEGER NOT NULL, UNIQUE (user, message))"

// The payment happens once for an id, and never without one.
func TestThePayment(t *testing.T) {
	contract.Row(t, "9.again", "9.failed")
	s := newSite(t)
	s.write("ws/pay.php", s.with(payments, blocks(t, durable, "php")[0]))
	s.keep("once = \"2m\"\n")
	paid := func() string {
		return s.run(payments, `echo $db->query('SELECT count(*) FROM payments')->fetchColumn();`)
	}
	cookie := s.session("ann")
	c := stack.Dial(t, s.URL+"/ws/pay", stack.DialOptions{Cookie: cookie, Protocols: []string{"wsfpm.v1"}})
	c.Next() // the hello
	for range 2 {
		c.Send(`{"id":"k1","data":{"amount":5}}`)
		c.Expect(`{"re":"k1","data":{"paid":true}}`)
	}
	for id, data := range map[string]string{"k2": `{}`, "k3": `"x"`, "k4": `{"amount":null}`} {
		c.Send(`{"id":"` + id + `","data":` + data + `}`)
		c.Expect(`{"re":"` + id + `","error":"failed"}`)
	}
	c.Send(`{"data":{"amount":7}}`)
	plain := stack.Dial(t, s.URL+"/ws/pay", stack.DialOptions{Cookie: cookie})
	plain.Send(`{"amount":9}`)
	stack.Wait(t, "the messages without an id", func() bool { return strings.Count(s.LogText(), `"event failed"`) >= 5 })
	if got := paid(); got != "1" {
		t.Errorf("%s payments, want 1", got)
	}
	s.run(payments, `$db->exec("INSERT INTO payments VALUES ('ann', 'k5', 5)");`) // an attempt of which wsfpm knows nothing
	c.Send(`{"id":"k5","data":{"amount":5}}`)
	c.Expect(`{"re":"k5","data":{"paid":true}}`)

	page := s.openPage("const buy = {}, paid = show, sorry = () => show('sorry'), lookUp = () => show('look')\n"+blocks(t, durable, "js")[0]+"buy.onclick()\n", cookie)
	page.expect(`{"paid":true}`)
	if got := paid(); got != "3" {
		t.Errorf("%s payments, want 3", got)
	}
	s.session("bob") // of the same cookie, as after a login in another tab
	c.Send(`{"id":"k6","data":{"amount":5}}`)
	c.Expect(`{"re":"k6","error":"failed"}`)
	s.login(`name|s:3:"out";`) // logged out
	c.Send(`{"id":"k6","data":{"amount":5}}`)
	c.Expect(`{"re":"k6","error":"failed"}`)
}

func TestEachWayToPublish(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(blocks(t, durable, "php")[0]), "\n")
	s := newSite(t)
	s.write("ws/user.php", `<?php if ($_SERVER['WS_EVENT'] === 'connect') header('WS-User: 42');`)
	s.keep("")
	c := stack.Dial(t, s.URL+"/ws/user", stack.DialOptions{})
	host, port, _ := net.SplitHostPort(s.redis.Addr)
	ways := []string{
		strings.TrimPrefix(s.with("", ""), "<?php"),
		fmt.Sprintf("require 'Predis/autoload.php'; $predis = new Predis\\Client(['host' => '%s', 'port' => %s], ['prefix' => 'site:']);", host, port),
		fmt.Sprintf(`use Illuminate\Support\Facades\Redis; require 'Illuminate/Redis/autoload.php'; $app = new Illuminate\Container\Container;
			$app->instance('redis', new Illuminate\Redis\RedisManager($app, 'phpredis', ['options' => ['prefix' => 'laravel_'],
				'wsfpm' => ['host' => '%s', 'port' => %s, 'options' => ['prefix' => '']]]));
			Redis::setFacadeApplication($app);`, host, port),
	}
	if len(lines) != len(ways) {
		t.Fatalf("the block has %d lines, want %d", len(lines), len(ways))
	}
	for i, before := range ways {
		s.write("publish.php", "<?php "+before+fmt.Sprintf("$json = 'by line %d';\n", i+1)+lines[i]+"\necho $id;")
		if id := s.php("publish.php"); strings.Count(id, "-") != 1 {
			t.Errorf("line %d: the receipt is %q", i+1, id)
		}
		c.Expect(fmt.Sprintf("by line %d", i+1))
	}
}

func TestPresenceIsRead(t *testing.T) {
	s := newSite(t)
	s.write("ws/lobby.php", `<?php if ($_SERVER['WS_EVENT'] !== 'connect') exit; header('WS-Join: lobby'); header("WS-User: $_GET[user]"); echo 'here';`)
	s.keep("")
	for _, user := range []string{"42", "7", "42"} {
		stack.Dial(t, s.URL+"/ws/lobby?user="+user, stack.DialOptions{}).Expect("here")
	}
	code := ""
	for line := range strings.Lines(blocks(t, durable, "php")[0]) {
		command, _, _ := strings.Cut(line, ";")
		code += "echo json_encode(" + command + "), \"\\n\";\n"
	}
	if got, want := s.run("", code), "[\"user:42\",\"user:7\"]\n2\ntrue\n2\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheLobby(t *testing.T) {
	s := newSite(t)
	s.write("ws/lobby.php", s.with("", blocks(t, durable, "php")[0]))
	s.keep("")
	page := s.openPage(blocks(t, durable, "js")[0], s.session("ann"))
	page.expect(`["user:ann"]`)
	bob := stack.Dial(t, s.URL+"/ws/lobby", stack.DialOptions{Cookie: s.session("bobo")})
	bob.Send("here")
	page.expect(`["user:ann","user:bobo"]`)
	tab := stack.Dial(t, s.URL+"/ws/lobby", stack.DialOptions{Cookie: s.session("bobo")})
	bob.Close(1000, "") // a reload: the newcomer is there before
	tab.Send("here")
	page.expect(`["user:ann","user:bobo"]`)
	s.redisValue("PUBLISH", "ws:channel:lobby", `{"here":["user:ann"],"at":1}`) // an old list, overtaken
	tab.Close(1000, "")
	page.expect(`["user:ann"]`)
	carl := stack.Dial(t, s.URL+"/ws/lobby", stack.DialOptions{Cookie: s.session("carlo")})
	carl.Send("here")
	page.expect(`["user:ann","user:carlo"]`) // and nothing between
	if r := stack.Refused(t, s.URL+"/ws/lobby", stack.DialOptions{}); r.Status != 401 {
		t.Errorf("without a login: got %d, want 401", r.Status)
	}
}

func TestKickAndKeepOut(t *testing.T) {
	const banned = "CREATE TABLE IF NOT EXISTS banned (user TEXT)"
	php := blocks(t, durable, "php")
	s := newSite(t)
	s.write("ws/site.php", s.with(banned, `
		$me = $_GET['user'];
		function isBanned($me) { global $db; $q = $db->prepare('SELECT 1 FROM banned WHERE user = ?'); $q->execute([$me]); return (bool) $q->fetchColumn(); }
		switch ($_SERVER['WS_EVENT']) {`+"\n"+php[1]+`header("WS-User: $me"); }`))
	s.keep("")
	ann, bob := stack.Dial(t, s.URL+"/ws/site?user=ann", stack.DialOptions{}), stack.Dial(t, s.URL+"/ws/site?user=bob", stack.DialOptions{})
	s.run(banned, "$id = 'ann';\n"+php[0])
	if reason := ann.ExpectClose(4003); reason != "you were removed" {
		t.Errorf("closed with %q", reason)
	}
	if r := stack.Refused(t, s.URL+"/ws/site?user=ann", stack.DialOptions{}); r.Status != 403 {
		t.Errorf("back again: got %d, want 403", r.Status)
	}
	s.redisValue("PUBLISH", "ws:user:bob", "still here")
	bob.Expect("still here")
}

func TestMembersThatComeLater(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(blocks(t, durable, "php")[0]), "\n")
	if len(lines) != 3 {
		t.Fatalf("the block has %d lines, want 3", len(lines))
	}
	script := "<?php if ($_SERVER['WS_EVENT'] !== 'connect') exit; $joinedAt = $_GET['joined'] ?? '';\nswitch ($_GET['line'] ?? '') {\n"
	for i, line := range lines {
		join := "header('WS-Join: room-7');"
		if i == 1 {
			join = ""
		}
		script += fmt.Sprintf("case '%d': %s %s\nbreak;\n", i, join, line)
	}
	s := newSite(t)
	s.write("ws/room.php", script+"default: header('WS-Join: room-7'); }")
	s.keep("resume = true\n")
	open := func(query, resume string) *stack.Client {
		t.Helper()
		c := stack.Dial(t, s.URL+"/ws/room"+query, stack.DialOptions{Protocols: []string{"wsfpm.v1"}})
		if hello := string(c.Next().Data); !strings.Contains(hello, `"resume":"`+resume+`"`) {
			t.Errorf("%s: got %s, want %s", query, hello, resume)
		}
		return c
	}
	id := func(c *stack.Client, want string) string {
		t.Helper()
		var e struct{ ID, Data string }
		if text := c.Next().Data; json.Unmarshal(text, &e) != nil || e.Data != want {
			t.Fatalf("got %s, want %q", text, want)
		}
		return e.ID
	}
	add := func(data string) { s.redisValue("XADD", "ws:log", "*", "to", "channel:room-7", "data", data) }
	c := open("", "new")
	began := id(c, "")
	add("one")
	one := id(c, "one")
	add("two")
	id(c, "two")
	clients := []*stack.Client{
		open("?line=0&joined="+one+"&ws_last="+began, "ok"),
		open("?line=0&ws_last="+began, "gap"),
		open("?line=1&ws_last="+began, "ok"),
		open("?line=2&ws_last="+began, "gap"),
	}
	add("three")
	for i, c := range clients {
		switch i {
		case 0:
			id(c, "two")
		case 1, 3:
			id(c, "") // the position
		}
		id(c, "three")
	}
}
