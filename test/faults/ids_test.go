package faults

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsfpm/test/stack"
)

// payment is the script of the test of message ids. It notes in a ledger when an attempt
// begins and how it ends, and does what the first letter of the message says.
const payment = `
if ($_SERVER['WS_EVENT'] === 'connect') { header('WS-User: 42'); exit; }
if ($_SERVER['WS_EVENT'] !== 'message') exit;
$id = $_SERVER['WS_MESSAGE_ID'];
$run = bin2hex(random_bytes(6));
$note = fn(string $what) => file_put_contents(__DIR__ . '/ledger', "$id $what $run {$_SERVER['WS_ATTEMPT']}\n", FILE_APPEND | LOCK_EX);
$note('begins');
usleep(random_int(0, 20000));
switch (file_get_contents('php://input')[0]) {
case 'r': if (random_int(0, 1)) { $note('refused'); http_response_code(random_int(0, 1) ? 422 : 500); exit; } break;
case 'd': if (random_int(0, 1)) { posix_kill(getmypid(), 9); sleep(9); } break;
case 's': if (random_int(0, 1)) usleep(1300000); break;
case 'm': if (random_int(0, 1)) header('WS-Nonsense: 1'); break;
}
$note('ends');
echo $run;`

var idsFlag = flag.Duration("ids", 20*time.Second, "how long things break in the test of message ids")

const (
	idsOnce  = time.Minute // of the route
	idsPages = 16
)

// payments is a run of that test: two nodes, a Redis that keeps its data, and pages that
// send each message until they know what became of it.
type payments struct {
	t      *testing.T
	seed   uint64
	nodes  [2]*stack.GatewayServer
	redis  *stack.RedisServer
	ledger string
	id     atomic.Int64

	mu     sync.Mutex
	told   map[string]string // the answer that a page got, by id
	counts map[string]int    // replies by kind
}

// Whatever breaks, a message with an id runs once, or hears of a second attempt.
func TestMessageIDsUnderFaults(t *testing.T) {
	stack.Integration(t)
	p := &payments{t: t, seed: max(*seedFlag, shortSeed), told: make(map[string]string), counts: make(map[string]int)}
	t.Logf("seed %d, %v", p.seed, *idsFlag)
	dir := stack.Scripts(t, map[string]string{"ws.php": payment})
	p.ledger = filepath.Join(dir, "ledger")
	fpm := stack.FPM(t, stack.FPMOptions{Children: 12})
	p.redis = stack.Redis(t, stack.RedisOptions{Args: []string{"--appendonly", "yes", "--appendfsync", "always"}})
	for i := range p.nodes {
		p.nodes[i] = stack.Gateway(t, stack.GatewayOptions{
			Node: fmt.Sprint("pay", i), FPM: fpm, FPMLines: "max_connections = 6\nqueue_wait = \"1s\"", Redis: p.redis.URL(), LogLevel: "warn",
			Limits: "messages_per_second = 0",
			Routes: "[[route]]\npath = \"/ws\"\nscript = \"" + dir + "/ws.php\"\ntimeout = \"1s\"\nstream_timeout = \"1s\"\nonce = \"" + idsOnce.String() + "\"\n",
		})
	}
	ctx, end := context.WithTimeout(t.Context(), *idsFlag)
	defer end()
	var pages sync.WaitGroup
	for i := range idsPages {
		pages.Go(func() { p.page(ctx, newRand(p.seed, uint64(i))) })
	}
	p.breakThings(ctx)
	pages.Wait()
	p.check()
}

// breakThings makes one fault after another until ctx ends: each once, in an order drawn from
// the seed, and again in another.
func (p *payments) breakThings(ctx context.Context) {
	rng := newRand(p.seed, idsPages)
	faults := []func(n *stack.GatewayServer){
		func(n *stack.GatewayServer) { n.Kill(); n.Start(p.t) },
		func(*stack.GatewayServer) { p.redis.Pause(); rest(ctx, rng, 2500*time.Millisecond); p.redis.Resume() },
		func(*stack.GatewayServer) { p.redis.Kill(); rest(ctx, rng, 500*time.Millisecond); p.redis.Start(p.t) },
		func(*stack.GatewayServer) { p.redis.Do(p.t, "client", "kill", "type", "normal") },
		func(*stack.GatewayServer) { p.redis.Do(p.t, "script", "flush") },
		func(n *stack.GatewayServer) { n.Pause(); rest(ctx, rng, 2*time.Second); n.Resume() },
	}
	for {
		for _, i := range rng.Perm(len(faults)) {
			if ctx.Err() != nil {
				return
			}
			faults[i](p.nodes[rng.IntN(2)])
			p.count(fmt.Sprint("fault ", i))
			rest(ctx, rng, time.Second)
		}
	}
}

// rest waits for about d, or until ctx ends.
func rest(ctx context.Context, rng *rand.Rand, d time.Duration) {
	waitFor(ctx, d/2+time.Duration(rng.Int64N(int64(d))))
}

func (p *payments) count(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[what]++
}

// page sends one message after another until ctx ends.
func (p *payments) page(ctx context.Context, rng *rand.Rand) {
	for ctx.Err() == nil {
		p.pay(rng, fmt.Sprintf("m%d", p.id.Add(1)), string("oordsm"[rng.IntN(6)]))
	}
}

// pay sends a message until its page knows what became of it, for as long as it may.
func (p *payments) pay(rng *rand.Rand, id, data string) {
	for since := time.Now(); time.Since(since) < idsOnce*9/10; {
		reply, err := p.try(rng, id, data)
		what := reply.Error
		switch {
		case err != nil:
			what = "broken"
		case what == "" && reply.Kept == nil:
			what = "answer"
		case what == "":
			what = "unkept"
		}
		p.count(what)
		if what == "answer" || what == "unkept" {
			p.tell(id, reply)
			if what == "unkept" || rng.IntN(3) > 0 {
				return
			}
			continue // once more: the same answer
		}
		if what == "mismatch" || what == "many" {
			p.t.Errorf("%s: got %s", id, what)
			return
		}
		if what != "broken" && rng.IntN(4) == 0 && time.Since(since) > idsOnce/3 {
			return // enough of it
		}
		rest(context.Background(), rng, 100*time.Millisecond)
	}
}

// reply is the reply to a message.
type reply struct {
	Re, Error string
	Data      string
	Kept      *bool
}

// try sends a message over a connection of its own, to either node, and reads the reply;
// sometimes it breaks the connection before.
func (p *payments) try(rng *rand.Rand, id, data string) (r reply, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, p.nodes[rng.IntN(2)].URL+"/ws", &websocket.DialOptions{
		Subprotocols: []string{"wsfpm.v1"}, HTTPClient: &http.Client{Transport: &http.Transport{}},
	})
	if err != nil {
		return r, err
	}
	defer func() { _ = conn.CloseNow() }()
	if err := conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"id":%q,"data":%q}`, id, data)); err != nil {
		return r, err
	}
	if rng.IntN(5) == 0 {
		rest(ctx, rng, 10*time.Millisecond)
		return r, context.Canceled
	}
	for r.Re == "" { // hello, signs of life
		_, text, err := conn.Read(ctx)
		if err != nil {
			return r, err
		}
		if err := json.Unmarshal(text, &r); err != nil {
			return r, fmt.Errorf("%s: %w", text, err)
		}
	}
	return r, nil
}

// tell notes an answer in the ledger: no attempt may begin after a kept one.
func (p *payments) tell(id string, r reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before := p.told[id]; before != "" && r.Data != "" && before != r.Data {
		p.t.Errorf("%s: two answers, %s and %s", id, before, r.Data)
	}
	if r.Kept != nil {
		return
	}
	p.told[id] = r.Data
	f, err := os.OpenFile(p.ledger, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o666)
	if err == nil {
		_, err = fmt.Fprintf(f, "%s told %s -\n", id, r.Data)
		_ = f.Close()
	}
	if err != nil {
		p.t.Error(err)
	}
}

// check reads the ledger in order.
func (p *payments) check() {
	text, err := os.ReadFile(p.ledger)
	if err != nil {
		p.t.Fatal(err)
	}
	type state struct {
		open  map[string]bool // attempts that may have done something
		ended map[string]bool
		told  bool
	}
	ids := make(map[string]*state)
	for line := range strings.Lines(string(text)) {
		var id, what, run, attempt string
		if _, err := fmt.Sscan(line, &id, &what, &run, &attempt); err != nil {
			p.t.Fatalf("ledger: %q: %v", line, err)
		}
		s := ids[id]
		if s == nil {
			s = &state{open: make(map[string]bool), ended: make(map[string]bool)}
			ids[id] = s
		}
		p.count(what + " " + attempt)
		switch what {
		case "begins":
			if attempt == "1" && len(s.open) > 0 {
				p.t.Errorf("%s: a first attempt began after another had", id)
			}
			if s.told {
				p.t.Errorf("%s: an attempt began after an answer was kept", id)
			}
			s.open[run] = true
		case "refused":
			delete(s.open, run)
		case "ends":
			s.ended[run] = true
		case "told":
			s.told = true
			if !s.ended[run] {
				p.t.Errorf("%s: the answer %s is of no attempt", id, run)
			}
		}
	}
	p.t.Logf("%d messages: %v", len(ids), p.counts)
	for _, wanted := range []string{"answer", "failed", "unknown", "busy", "broken", "begins 2"} {
		if p.counts[wanted] == 0 {
			p.t.Errorf("never seen: %s", wanted)
		}
	}
}
