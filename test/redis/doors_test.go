package redistest

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// pair is two nodes, a client on each, and a program that publishes.
type pair struct {
	server *stack.RedisServer
	nodes  [2]node
	a, b   client
}

// startPair runs two nodes on one Redis; each has a member of the hall.
func startPair(t *testing.T, server *stack.RedisServer, url, lines string) pair {
	t.Helper()
	nodes := startTwo(t, url, lines)
	return pair{server, nodes, nodes[0].dial(t, "WS-Join: hall", "WS-User: a"), nodes[1].dial(t, "WS-Join: hall", "WS-User: b")}
}

// expect wants the same text next at both clients.
func (p pair) expect(text string) {
	p.a.Expect(text)
	p.b.Expect(text)
}

func TestPublishCountsNodes(t *testing.T) {
	row(t, "3.fast-count", "3.subscriptions")
	server := stack.Redis(t, stack.RedisOptions{})
	p := startPair(t, server, server.URL(), "")
	count := func(address string, want int64) {
		t.Helper()
		equal(t, "nodes at "+address, server.Publish(t, "ws:"+address, "counted"), want)
	}
	also := p.nodes[0].dial(t, "WS-Join: hall", "WS-User: b")
	count("conn:"+p.a.id, 1)
	count("conn:none", 0)
	count("user:a", 1)
	count("user:b", 2)
	count("user:none", 0)
	count("channel:hall", 2)
	count("channel:empty", 0)
	count("all", 2)
	also.Close(1000, "")
	p.b.Close(1000, "")
	for address, want := range map[string]int64{"conn:" + p.b.id: 0, "conn:" + also.id: 0, "user:b": 0, "channel:hall": 1} {
		stack.Wait(t, address+" to have left", func() bool { return server.Subscribers(t, "ws:"+address) == want })
	}
}

func TestCommandsReachBothNodes(t *testing.T) {
	row(t, "4.to", "4.base64", "3.one-copy", "3.command-door", "4.unknown-lenient")
	server := stack.Redis(t, stack.RedisOptions{})
	p := startPair(t, server, server.URL(), "")
	for name, send := range map[string]func(){
		"except self, by header":  func() { p.a.say("others", "WS-Publish: channel:hall, user:b; except=self") },
		"except self, by command": func() { p.a.say(`{"to":"all","except":["self"],"data":"others"}`, commandType) },
		"except a user":           func() { server.Publish(t, "ws:command", `{"to":"all","except":["user:a"],"data":"others"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			send()
			p.b.Expect("others")
			server.Publish(t, "ws:all", "fence")
			p.expect("fence")
		})
	}
	server.Publish(t, "ws:command", fmt.Sprintf(`{"to":["all","user:a","channel:hall","conn:%s"],"base64":"AP8C"}`, p.b.id))
	server.Publish(t, "ws:command", `{"to":["user:b","channel:hall"],"data":"one copy","later":1}`)
	for _, c := range []client{p.a, p.b} {
		c.ExpectBinary([]byte{0, 0xff, 2})
		c.Expect("one copy")
	}
	server.Publish(t, "ws:all", "fence")
	p.expect("fence")
	for _, n := range p.nodes {
		n.AwaitLog(t, "warn", "later")
	}
}

func TestABadPayloadFailsNoConnection(t *testing.T) {
	row(t, "3.bad-payload", "3.push-limit")
	server := stack.Redis(t, stack.RedisOptions{})
	p := startPair(t, server, server.URL(), "push_limit = \"1KiB\"\n[[redis.relay]]\npattern = \"pub.*\"\nto = \"channel:{name}\"\n")
	large := strings.Repeat("x", 1025)
	for name, payload := range map[string]string{
		"ws:all": "a\xff", "ws:channel:hall": large, "ws:user:a": "\xed\xa0\x80", "pub.hall": "\xc0\x80",
		"ws:command": `{"to":"all","data":`, // the log takes five in a second
	} {
		server.Publish(t, name, payload)
	}
	server.Publish(t, "ws:channel:hall", large[:1024])
	p.expect(large[:1024])
	equal(t, "dropped at node one", p.nodes[0].Metric(t, "wsfpm_pushes_dropped_total"), 5)
	equal(t, "dropped at node two", p.nodes[1].Metric(t, "wsfpm_pushes_dropped_total"), 4) // user:a is not there
	for _, words := range [][]string{{"ws:all", "utf-8"}, {"ws:channel:hall", "limit"}, {"pub.hall", "utf-8"}, {"ws:command", "unexpected end"}} {
		for _, n := range p.nodes {
			n.AwaitLog(t, "warn", words...)
		}
	}
}

// Laravel's phpredis puts a prefix of its own before every name.
func TestLaravelsPrefix(t *testing.T) {
	row(t, "3.prefix")
	server := stack.Redis(t, stack.RedisOptions{})
	p := startPair(t, server, server.URL(), `prefix = ["laravel_database_ws:", "ws:"]`)
	php := exec.Command(stack.Tool(t, "php-cli", "php"), "-r", `
		$r = new Redis; $r->connect($argv[1]); $r->setOption(Redis::OPT_PREFIX, 'laravel_database_');
		echo $r->publish('ws:channel:hall', 'from Laravel');`, server.Socket())
	out, err := php.CombinedOutput()
	if err != nil || string(out) != "2" {
		t.Fatalf("php: got %q, %v, want 2 nodes", out, err)
	}
	p.expect("from Laravel")
	equal(t, "nodes at the second prefix", server.Publish(t, "ws:user:b", "plain"), 1)
	p.b.Expect("plain")
	p.a.say("spoken once", "WS-Publish: channel:hall")
	p.expect("spoken once")
	server.Publish(t, "ws:all", "fence")
	p.expect("fence")
}

func TestRelaysOfAUserWithFewPermissions(t *testing.T) {
	row(t, "3.acl", "3.relay")
	server := stack.Redis(t, stack.RedisOptions{})
	acl := func(user string, more ...any) {
		server.Do(t, append([]any{"ACL", "SETUSER", user, "on", ">pw", "resetchannels", "&ws:*", "-@all",
			"+ping", "+subscribe", "+unsubscribe", "+publish"}, more...)...)
	}
	acl("plain")
	acl("relays", "&pub.*", "+psubscribe")
	for user, lines := range map[string]string{"plain": "", "relays": "[[redis.relay]]\npattern = \"pub.*\"\nto = \"channel:{name}\"\n"} {
		t.Run(user, func(t *testing.T) {
			p := startPair(t, server, "redis://"+user+":pw@"+server.Addr+"/3", lines)
			p.a.say("x", "WS-Publish: channel:hall")
			p.expect("x")
			if lines != "" {
				server.Publish(t, "pub.hall", "relayed")
				p.expect("relayed")
			}
		})
	}
}
