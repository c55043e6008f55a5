package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// tellScript runs once for each message, writes it down, and stores it for the page itself,
// which so gets a reply and a message of the log.
const tellScript = `
if ($_SERVER['WS_EVENT'] === 'connect') { header('WS-User: 42'); header('WS-Join: room'); exit; }
if ($_SERVER['WS_EVENT'] !== 'message') exit;
$n = file_get_contents('php://input');
file_put_contents(__DIR__ . '/told', ($_SERVER['WS_ATTEMPT'] ?? '-') . " $n\n", FILE_APPEND | LOCK_EX);
header('WS-Publish: channel:room; durable');
echo $n;`

// While two nodes restart in turn, half of the times by kill -9, a page sends and receives:
// each message is resolved or rejected, what was resolved has run and has come back to the
// room once, and nothing comes twice. A message that was running on a killed node is `busy` when
// its repetition has waited for the route's timeout, which is well below what a test waits for.
func betweenRestarts(t *testing.T, restarts int) {
	stack.Integration(t)
	fpm := stack.FPM(t, stack.FPMOptions{Children: 4})
	redis := stack.Redis(t, stack.RedisOptions{})
	dir := stack.Scripts(t, map[string]string{"page.php": tellScript})
	var nodes []*stack.GatewayServer
	var urls []string
	for range 2 {
		g := stack.Gateway(t, stack.GatewayOptions{
			FPM: fpm, Redis: redis.URL(), Limits: "ping_interval = \"500ms\"\ncontrol_rate = 0\nmessages_per_second = 0",
			Routes: "[[route]]\npath = \"/ws\"\nscript = \"" + dir + "/page.php\"\nresume = true\ntimeout = \"10s\"\nonce = \"60s\"\n",
		})
		nodes, urls = append(nodes, g), append(urls, "ws://"+g.Listen+"/ws")
	}
	p := openPage(t, urls...)
	p.state("open")
	c := newTally()
	sent := 0
	for r := range restarts {
		for range 20 {
			sent++
			p.send(fmt.Sprint(sent))
		}
		node := nodes[r%2]
		if r%4 < 2 {
			node.Kill()
		} else {
			node.Terminate()
			node.Exit(t)
		}
		for range 20 {
			sent++
			p.send(fmt.Sprint(sent))
		}
		node.Start(t)
		stack.Wait(t, "the node", node.Ready)
		c.hear(p, "an end of each message", func() bool { return c.settled() == sent })
	}
	// The log may have brought all of them before the last reply.
	c.hear(p, "the last message", func() bool { return c.missing() == 0 })
	told, err := os.ReadFile(filepath.Join(dir, "told"))
	if err != nil {
		t.Fatal(err)
	}
	for n, times := range c.messages {
		if times != 1 && strings.Count("\n"+string(told), " "+n+"\n") != times {
			t.Errorf("message %s came %d times", n, times)
		}
	}
	t.Logf("%d restarts: %d messages sent, %d answered, rejected %v", restarts, sent, len(c.replies), c.failed)
	if len(c.replies) < sent*9/10 {
		t.Errorf("%d of %d were answered: want most of them", len(c.replies), sent)
	}
}

// tally is what a page was told.
type tally struct {
	replies  map[int]bool   // of the messages with these numbers
	failed   map[string]int // messages rejected, by the reason
	messages map[string]int // how often each came back to the room
}

func newTally() tally {
	return tally{replies: map[int]bool{}, failed: map[string]int{}, messages: map[string]int{}}
}

// hear notes events until all that is wanted is there.
func (c *tally) hear(p *page, what string, all func() bool) {
	p.t.Helper()
	for !all() {
		c.note(p.next(what, func(pageEvent) bool { return true }))
	}
}

func (c *tally) note(e pageEvent) {
	switch {
	case e.To > 0 && e.Failed == "":
		c.replies[e.To] = true
	case e.To > 0:
		c.failed[e.Failed]++
	case e.Message != nil:
		c.messages[fmt.Sprint(e.Message)]++
	}
}

// settled is the number of messages that were answered or rejected.
func (c *tally) settled() int {
	total := len(c.replies)
	for _, n := range c.failed {
		total += n
	}
	return total
}

// missing is the number of answered messages that have not come back to the room.
func (c *tally) missing() (n int) {
	for to := range c.replies {
		if c.messages[fmt.Sprint(to)] == 0 {
			n++
		}
	}
	return n
}

func TestThePageBetweenRestartingNodes(t *testing.T) {
	t.Parallel()
	contract.Row(t, "2.come-back", "7.ok", "9.again")
	betweenRestarts(t, 4)
}

func TestSoakThePageBetweenTwentyRestarts(t *testing.T) { betweenRestarts(t, 20) }
