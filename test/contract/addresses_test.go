package contract

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// whoScript answers connect with the connection's id.
const whoScript = `
if ($_SERVER['WS_EVENT'] === 'connect') {
	foreach ((array) ($_GET['h'] ?? []) as $h) header($h, false);
	echo $_SERVER['WS_CONNECTION'];
} elseif ($_SERVER['WS_EVENT'] === 'message') {
	foreach (array_filter(explode("\n", file_get_contents('php://input')), 'strlen') as $h) header($h, false);
	echo 'ok';
}`

func TestAddressesOfTheFastDoor(t *testing.T) {
	w := start(t, setup{script: whoScript, redis: true}, "3.addresses", "3.colon", "3.one-copy", "3.fast", "3.fast-count")
	a := w.dial("?h[]=WS-User:mia&h[]=WS-Join:lobby,a:b:c", stack.DialOptions{})
	b := w.dial("?h[]=WS-Join:lobby", stack.DialOptions{})
	idA := string(a.Next().Data)
	b.Next()
	for address, want := range map[string]int64{"conn:" + idA: 1, "user:mia": 1, "channel:a:b:c": 1, "channel:none": 0, "user:none": 0, "conn:none": 0} {
		equal(t, "subscribers of "+address, w.publish(address, "to "+address), want)
		if want == 1 {
			a.Expect("to " + address)
		}
	}
	equal(t, "subscribers of all", w.publish("all", "everybody"), 1)
	a.Expect("everybody")
	b.Expect("everybody")
	w.publish("channel:lobby", `{"as":"it is"} `)
	a.Expect(`{"as":"it is"} `)
	b.Expect(`{"as":"it is"} `)
	w.pushed(fmt.Sprintf(`{"to":["all","user:mia","channel:lobby","conn:%s"],"data":"one copy"}`, idA), 2)
	a.Expect("one copy")
	b.Expect("one copy")
	b.ExpectNothing(quiet)
	a.ExpectNothing(0)
}

func TestTheCommandDoor(t *testing.T) {
	w := start(t, setup{script: whoScript, redis: true}, "3.command-door", "4.unknown-lenient", "4.base64", "4.close", "4.join-leave")
	a, b := w.dial("?h[]=WS-User:a", stack.DialOptions{}), w.dial("?h[]=WS-User:b", stack.DialOptions{})
	idA := string(a.Next().Data)
	b.Next()
	w.publish("command", `{"to":["user:a","user:b"],"except":["conn:`+idA+`"],"base64":"AAEC"}`)
	b.ExpectBinary([]byte{0, 1, 2})
	w.publish("command", `{"to":"user:a","join":["x"]}`)
	w.publish("command", `{"to":"all","data":"fence"}`)
	a.Expect("fence")
	b.Expect("fence")
	stack.Wait(t, "the subscription", func() bool { return shared.redis.Subscribers(t, w.prefix+"channel:x") == 1 })
	w.publish("channel:x", "in x")
	a.Expect("in x")
	w.publish("command", `{"to":"user:a","leave":["x"],"data":"out","new_field":1}`)
	a.Expect("out")
	w.AwaitLog(t, "warn", "new_field")
	w.publish("command", `{"to":"user:b","close":{"code":4001,"reason":"signed out"}}`)
	equal(t, "reason", b.ExpectClose(4001), "signed out")
	w.publish("command", `not json`)
	w.publish("command", `{"data":"without to"}`)
	w.publish("all", "still there")
	a.Expect("still there")
}

func TestRelays(t *testing.T) {
	s := setup{script: whoScript, redis: true}
	port := stack.FreePort(t)
	s.options.RedisTOML = fmt.Sprintf("[[redis.relay]]\npattern = \"pub%d.*\"\nto = \"channel:{name}\"\n", port)
	w := start(t, s, "3.relay", "3.bad-payload")
	c := w.dial("?h[]=WS-Join:orders.7", stack.DialOptions{})
	c.Next()
	shared.redis.Publish(t, fmt.Sprintf("pub%d.orders.7", port), "shipped")
	c.Expect("shipped")
	shared.redis.Publish(t, fmt.Sprintf("pub%d.orders.7", port), "bad \xff")
	shared.redis.Publish(t, fmt.Sprintf("pub%d.orders.7", port), "good")
	c.Expect("good")
}

func TestARelayReadsWhatLaravelPublishes(t *testing.T) {
	s := setup{script: whoScript, redis: true}
	at := fmt.Sprintf("laravel%d_", stack.FreePort(t))
	s.options.RedisTOML = fmt.Sprintf("[[redis.relay]]\npattern = \"%s*\"\nto = \"channel:{name}\"\nformat = \"laravel\"\n", at)
	w := start(t, s, "3.relay-laravel")
	a, b := w.dial("?h[]=WS-Join:private-orders.7", stack.DialOptions{}), w.dial("?h[]=WS-Join:private-orders.7", stack.DialOptions{})
	id, _, _ := strings.Cut(string(a.Next().Data), "|")
	b.Next()
	for _, text := range []string{"no JSON", `{"data":{}}`, `{"event":"E","data":{"order":7,"socket":"` + id + `"},"socket":"` + id + `"}`, `{"event":"F","data":[],"socket":null}`} {
		shared.redis.Publish(t, at+"private-orders.7", text)
	}
	b.Expect(`{"event":"E","channel":"private-orders.7","data":{"order":7}}`)
	for _, c := range []*stack.Client{a, b} {
		c.Expect(`{"event":"F","channel":"private-orders.7","data":[]}`)
	}
	equal(t, "dropped", w.Metric(t, "wsfpm_pushes_dropped_total", `reason="command"`), 2)
}

func TestARelayMayNotMatchOurOwnPrefix(t *testing.T) {
	Row(t, "3.relay-own")
	for _, pattern := range []string{"ws:*", "*", "w*", "ws:channel:*"} {
		out, code := checkFile(t, "[redis]\nurl = \"redis://127.0.0.1\"\n[[redis.relay]]\npattern = \""+pattern+"\"\nto = \"channel:{name}\"\n"+
			"[fpm.default]\naddress = \"unix:/run/f.sock\"\n[[route]]\npath = \"/ws\"\nscript = \"/srv/ws.php\"\n")
		if code == 0 || !strings.Contains(out, "pattern") {
			t.Errorf("%s: got exit code %d, %q, want an error", pattern, code, out)
		}
	}
}

func TestPushOverHTTP(t *testing.T) {
	for _, redis := range []bool{false, true} {
		t.Run(fmt.Sprint("redis ", redis), func(t *testing.T) {
			w := start(t, setup{script: whoScript, redis: redis}, "3.push-http", "4.unknown-strict")
			a, b := w.dial("?h[]=WS-Join:c", stack.DialOptions{}), w.dial("?h[]=WS-Join:c", stack.DialOptions{})
			a.Next()
			b.Next()
			w.pushed(`{"to":"channel:c","data":"x"}`, 2)
			a.Expect("x")
			b.Expect("x")
			w.pushed(`{"to":"user:none","data":"x"}`, 0)
			for _, bad := range []string{`{"to":"channel:c","data":"x","unknown":1}`, `{"data":"x"}`, `{`, `{"to":"room:c","data":"x"}`, `{"to":"channel:c","data":"x","base64":"AA=="}`} {
				if status, body := w.Push(t, bad); status != 400 && status != 422 {
					t.Errorf("push %s: got %d %s, want 400", bad, status, body)
				}
			}
			a.ExpectNothing(quiet)
		})
	}
}

func TestABadPayloadIsDroppedLoggedAndCounted(t *testing.T) {
	w := start(t, setup{script: whoScript, redis: true, options: stack.GatewayOptions{RedisTOML: `push_limit = "1KiB"`}}, "3.bad-payload", "3.push-limit")
	c := w.dial("?h[]=WS-Join:c", stack.DialOptions{})
	c.Next()
	w.publish("all", "bad \xff")
	w.publish("channel:c", strings.Repeat("x", 1025))
	w.publish("channel:c", strings.Repeat("x", 1024))
	c.Expect(strings.Repeat("x", 1024))
	equal(t, "wsfpm_pushes_dropped_total", w.Metric(t, "wsfpm_pushes_dropped_total"), 2)
	w.AwaitLog(t, "", "all", "utf-8")
	w.AwaitLog(t, "", "channel:c", "limit")
}

func TestPrefixesAreAllHeardAndTheFirstIsSpoken(t *testing.T) {
	n := stack.FreePort(t)
	one, two := fmt.Sprintf("app%d_ws:", n), fmt.Sprintf("old%d:", n)
	w := start(t, setup{script: "chatty.php", options: stack.GatewayOptions{Redis: shared.redis.URL(), RedisTOML: fmt.Sprintf("prefix = [%q, %q]", one, two)}}, "3.prefix")
	c := w.dial("?h[]=WS-Join:c", stack.DialOptions{})
	shared.redis.Publish(t, one+"channel:c", "one")
	c.Expect("one")
	shared.redis.Publish(t, two+"channel:c", "two")
	c.Expect("two")
	listener := shared.redis.Client(t).PSubscribe(t.Context(), one+"*", two+"*")
	defer listener.Close()
	if _, err := listener.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := listener.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	say(c, "spoken", "WS-Publish: channel:c")
	c.Expect("spoken")
	m, err := listener.ReceiveMessage(t.Context())
	if err != nil || !strings.HasPrefix(m.Channel, one) {
		t.Errorf("got %v, %v, want a name with the first prefix", m, err)
	}
	c.ExpectNothing(quiet)
}

func TestANodeSubscribesOnlyWhileItHasMembers(t *testing.T) {
	w := start(t, setup{script: whoScript, redis: true}, "3.subscriptions")
	c := w.dial("?h[]=WS-Join:c&h[]=WS-User:u", stack.DialOptions{})
	id := string(c.Next().Data)
	names := []string{"conn:" + id, "user:u", "channel:c"}
	for _, name := range append(names, "all", "command") {
		equal(t, "subscribers of "+name, shared.redis.Subscribers(t, w.prefix+name), 1)
	}
	c.Close(1000, "")
	for _, name := range names {
		stack.Wait(t, "no subscriber of "+name, func() bool { return shared.redis.Subscribers(t, w.prefix+name) == 0 })
	}
	equal(t, "subscribers of all", shared.redis.Subscribers(t, w.prefix+"all"), 1)
}

func TestAllNamesOfOneAnswerGoInOneCommand(t *testing.T) {
	redis := stack.Redis(t, stack.RedisOptions{})
	w := start(t, setup{script: whoScript, options: stack.GatewayOptions{Redis: redis.URL()}}, "3.one-subscribe")
	calls := func() int {
		_, rest, _ := strings.Cut(redis.Do(t, "INFO", "commandstats"), "cmdstat_subscribe:calls=")
		n := 0
		fmt.Sscan(strings.SplitN(rest, ",", 2)[0], &n)
		return n
	}
	before := calls()
	c := w.dial("?h[]=WS-User:u&h[]=WS-Join:a,b,c,d,e,f,g,h", stack.DialOptions{})
	c.Next()
	if n := calls() - before; n > 1 {
		t.Errorf("got %d SUBSCRIBE commands for one answer, want 1", n)
	}
	w.prefix = "ws:"
	equal(t, "subscribers", redis.Subscribers(t, "ws:channel:h"), 1)
}

func TestAnACLOfThePrefixSuffices(t *testing.T) {
	redis := stack.Redis(t, stack.RedisOptions{})
	redis.Do(t, "ACL", "SETUSER", "gw", "on", ">pw", "resetchannels", "&ws:*", "-@all", "+@pubsub", "+@connection")
	w := start(t, setup{script: "chatty.php", options: stack.GatewayOptions{Redis: "redis://gw:pw@" + redis.Addr + "/0"}}, "3.acl")
	c := w.dial("?h[]=WS-Join:c&h[]=WS-User:u", stack.DialOptions{})
	say(c, "x", "WS-Publish: channel:c")
	c.Expect("x")
	redis.Publish(t, "ws:user:u", "y")
	c.Expect("y")
	equal(t, "/ready", w.Ready(), true)
}

func TestAnEmbeddedRedis(t *testing.T) {
	address := stack.FreeAddress(t)
	w := start(t, setup{script: "chatty.php", options: stack.GatewayOptions{Redis: "embedded", RedisTOML: fmt.Sprintf("listen = %q", address)}}, "3.embedded")
	c := w.dial("?h[]=WS-Join:c", stack.DialOptions{})
	say(c, "x", "WS-Publish: channel:c")
	c.Expect("x")
	outside := &stack.RedisServer{Addr: address}
	equal(t, "receivers", outside.Publish(t, "ws:channel:c", "from outside"), 1)
	c.Expect("from outside")
}

func TestWithRedisDownEventsGoOn(t *testing.T) {
	redis := stack.Redis(t, stack.RedisOptions{})
	w := start(t, setup{script: "chatty.php", options: stack.GatewayOptions{Redis: redis.URL(), RedisTOML: `confirm = "100ms"`}}, "3.redis-down", "3.redis-back")
	old := w.dial("?h[]=WS-Join:c", stack.DialOptions{})
	redis.Kill()
	stack.Wait(t, "/ready to be red", func() bool { return !w.Ready() })
	settle(t, old)
	young := w.dial("?h[]=WS-Join:d", stack.DialOptions{})
	settle(t, young)
	redis.Start(t)
	stack.Wait(t, "/ready to be green", w.Ready)
	for _, name := range []string{"channel:c", "channel:d", "all", "command"} {
		equal(t, "subscribers of "+name+" when green", redis.Subscribers(t, "ws:"+name), 1)
	}
	redis.Publish(t, "ws:channel:c", "back")
	old.Expect("back")
	redis.Publish(t, "ws:channel:d", "back")
	young.Expect("back")
	young.ExpectNothing(time.Millisecond)
}
