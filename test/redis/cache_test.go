package redistest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// pricesScript has the price of all clients in a file, which a message sets.
const pricesScript = `
if ($_SERVER['WS_EVENT'] !== 'message') exit;
$text = file_get_contents('php://input');
$file = $_SERVER['PRICE'];
if (str_starts_with($text, 'set ')) {
	file_put_contents("$file.next", substr($text, 4));
	rename("$file.next", $file);
	header('Content-Type: application/vnd.wsfpm+json');
	exit(json_encode([['purge' => '/ws', 'to' => 'all', 'data' => 'changed'], ['data' => 'done']]));
}
header('Cache-Control: public, max-age=60');
echo file_get_contents($file), ' ', bin2hex(random_bytes(4));`

// priceNodes are two nodes with caches on one Redis.
func priceNodes(t *testing.T, url string) (nodes [2]node) {
	t.Helper()
	stack.Integration(t)
	dir := stack.Scripts(t, map[string]string{"prices.php": pricesScript})
	prices := filepath.Join(stack.TempDir(t), "price") // a folder in which PHP may write
	for i, name := range []string{"one", "two"} {
		nodes[i] = node{stack.Gateway(t, stack.GatewayOptions{
			Node: name, Drain: "100ms", FPM: shared.fpm, FPMLines: "max_connections = 10\nmax_idle = 10", Redis: url,
			Limits: "messages_per_second = 0",
			Routes: fmt.Sprintf("[[route]]\npath = \"/ws\"\nscript = %q\ncache = \"1MiB\"\nparams = { PRICE = %q }\n", filepath.Join(dir, "prices.php"), prices),
		})}
	}
	return nodes
}

// asked is the reply to a message.
func asked(c *stack.Client, text string) string {
	c.Send(text)
	return string(c.Next().Data)
}

// A client on another node that is told of a change and asks at once gets no price from
// before it.
func TestAPurgeReachesBothNodesBeforeItsData(t *testing.T) {
	row(t, "4.purge", "4.purge-first")
	server := stack.Redis(t, stack.RedisOptions{})
	nodes := priceNodes(t, server.URL())
	a := stack.Dial(t, nodes[0].URL+"/ws", stack.DialOptions{})
	b := stack.Dial(t, nodes[1].URL+"/ws", stack.DialOptions{})
	for i := range 50 {
		a.Send(fmt.Sprint("set ", i))
		got := map[string]int{}
		for range 2 { // the reply and the push, which takes the way through Redis
			got[string(a.Next().Data)]++
		}
		if got["done"] != 1 || got["changed"] != 1 {
			t.Fatalf("got %v", got)
		}
		b.Expect("changed")
		for _, c := range []*stack.Client{a, b} {
			for range 3 {
				if price := asked(c, "price"); !strings.HasPrefix(price, fmt.Sprint(i, " ")) {
					t.Fatalf("got the price %q after it has become %d", price, i)
				}
			}
		}
	}
	for _, n := range nodes {
		if hits := n.Metric(t, "wsfpm_cache_messages_total", `outcome="hit"`); hits < 50 {
			t.Errorf("%v hits", hits)
		}
	}
	// From any program, to all nodes: a published command, and POST /push.
	purged := func(what string, purge func()) {
		stored := map[*stack.Client]string{}
		for _, c := range []*stack.Client{a, b} {
			asked(c, what)
			stored[c] = asked(c, what)
			equal(t, "a stored answer", asked(c, what), stored[c])
		}
		purge()
		for c, was := range stored {
			stack.Wait(t, "the purge", func() bool { return asked(c, what) != was })
		}
	}
	purged("by PUBLISH", func() { server.Publish(t, "ws:command", `{"purge":"/ws"}`) })
	purged("by /push", func() {
		if status, body := nodes[1].Push(t, `{"purge":"*"}`); status != 200 {
			t.Errorf("got %d %s", status, body)
		}
	})
}

// A purge that was published while a node did not hear Redis is made up for.
func TestANodeThatHasLostRedisDropsEverything(t *testing.T) {
	row(t, "4.purge-gap")
	server := stack.Redis(t, stack.RedisOptions{})
	nodes := priceNodes(t, server.URL())
	a := stack.Dial(t, nodes[0].URL+"/ws", stack.DialOptions{})
	asked(a, "set 1")
	a.Next()
	asked(a, "price")
	stored := asked(a, "price")
	server.Kill()
	stack.Wait(t, "the loss to be noticed", func() bool { return !nodes[0].Ready() })
	equal(t, "while Redis is away", asked(a, "price"), stored)
	server.Start(t)
	stack.Wait(t, "the node to hear again", nodes[0].Ready)
	if got := asked(a, "price"); got == stored {
		t.Error("an answer from before the gap is still there")
	}
}
