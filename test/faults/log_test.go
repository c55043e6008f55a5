package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"wsfpm/test/stack"
)

// The programme of the log: what was stored reaches every client that it is meant for, once
// and in order, or the client is told that something may be missing.
const (
	readers    = 48 // clients; each sixth speaks the plain protocol
	rooms      = 6
	publishers = 3
	shortLog   = 3_000 // publications of the short programme
	shortCuts  = 14    // its faults
	shortBreak = 700   // milliseconds that each lasts at most; 1,500 in the long programme
	lostTail   = 20    // of them are lost at a failover, at least
	gapText    = "something may be missing"
)

// logFaults are what breaks beside the clients' own connections, which always break.
var logFaults = []string{
	"node-kill", "node-freeze", "node-term", "redis-kill", "redis-freeze", "flushall", "trim",
	"kill-connections", "link-hole", "link-reset", "link-down", "redis-kill-node-freeze", "pause-beyond-window", "failover",
}

func TestFaultsOfTheLog(t *testing.T) {
	stack.Integration(t)
	seed, wanted, faults, most := uint64(shortSeed), int64(shortLog), shortCuts, shortMost
	lasting := shortBreak
	if *eventsFlag > 0 {
		wanted, faults, most, lasting = *eventsFlag/5, *faultsFlag, *mostFlag, 1500
	}
	if *seedFlag > 0 {
		seed = *seedFlag
	}
	t.Logf("seed %d, %d publications, %d faults", seed, wanted, faults)
	p := &logProgramme{t: t, seed: seed, wanted: wanted, faults: faults, lasting: lasting}
	p.run(most)
}

// logProgramme is one run.
type logProgramme struct {
	t       *testing.T
	seed    uint64
	wanted  int64
	faults  int
	lasting int // milliseconds, the longest of a fault

	redis   *group
	nodes   [2]*stack.GatewayServer
	toRedis [2]*way

	published atomic.Int64
	leaving   context.Context // ends when the clients shall come to rest
	leave     context.CancelFunc
	resting   context.Context // ends when they shall go
	rest      context.CancelFunc

	noted   *journal      // of the scripts; like slowest the test's own goroutine's
	slowest time.Duration // until presence was right
	hold    atomic.Bool   // clients stay where they are
	talk    atomic.Bool   // each says something

	mu     sync.Mutex // guards what follows
	visits []*visit
	harms  []harm
	stored []storing
	made   map[string]int
}

// storing is one publication that was stored, or may have been.
type storing struct {
	number int64
	to     string // user:…, channel:… or all
	began  time.Time
	done   time.Time // when it was known to be stored
	sure   bool      // Redis has said so
}

// run lets clients read, publishers store and faults come, then checks.
func (p *logProgramme) run(most time.Duration) {
	p.made = make(map[string]int)
	p.start()
	p.leaving, p.leave = context.WithTimeout(context.Background(), most)
	p.resting, p.rest = context.WithCancel(context.Background())
	defer p.leave()
	defer p.rest()
	list := make([]*reader, readers)
	var reading, storing sync.WaitGroup
	for i := range list {
		list[i] = newReader(p, i)
		reading.Go(list[i].run)
	}
	for i := range publishers {
		storing.Go(func() { p.publish(i) })
	}
	p.breakThings()
	storing.Wait()
	p.leave()
	p.settle(list)
	p.rest()
	reading.Wait()
	p.check(list)
	p.checkEnds()
}

// start starts the parts.
func (p *logProgramme) start() {
	t := p.t
	fpm := stack.FPM(t, stack.FPMOptions{Children: workers})
	p.redis = newGroup(t)
	script, err := os.ReadFile("testdata/log.php")
	if err != nil {
		t.Fatal(err)
	}
	dir := stack.Scripts(t, map[string]string{"log.php": string(script)})
	p.noted = newJournal(filepath.Join(dir, "journal"))
	for i, name := range nodeNames {
		p.toRedis[i] = newWay(t, p.redis)
		listen, admin := stack.FreeAddress(t), stack.FreeAddress(t)
		p.nodes[i] = stack.Gateway(t, stack.GatewayOptions{
			Listen: listen, AdminAddress: admin, NotReady: true,
			Env:  []string{"GORACE=atexit_sleep_ms=0"},
			File: logConfiguration(name, listen, admin, fpm.Address, p.toRedis[i].url, p.memory(), filepath.Join(dir, "log.php")),
		})
	}
	for _, n := range p.nodes {
		stack.Wait(t, "/ready", n.Ready)
	}
}

// memory bounds the nodes' windows: with odd seeds to some seconds, which makes gaps.
func (p *logProgramme) memory() string {
	if p.seed%2 == 1 {
		return "128KiB"
	}
	return "2MiB"
}

func logConfiguration(name, listen, admin, fpm, redis, memory, script string) string {
	text := fmt.Sprintf(`node = %q
listen = %q
admin = %q
admin_token = %q
drain = "1s"

[fpm.default]
address = %q
max_connections = %d
queue_wait = "20s"

[redis]
url = %q
confirm = "2s"
push_limit = "16KiB"

[durable]
memory = %q

[presence]
users = true
channels = ["r*"]

[limits]
messages_per_second = 0
connections_per_address = 0
ping_interval = "1s"
pong_timeout = "20s"
`, name, listen, admin, stack.AdminToken, fpm, workers/2, redis, memory)
	for _, path := range []string{"/v1", "/plain"} {
		text += fmt.Sprintf("\n[[route]]\npath = %q\nscript = %q\nresume = true\nregistry = true\ngap_message = %q\ntimeout = \"20s\"\n", path, script, gapText)
	}
	return text
}

// pause waits for d, or until the clients shall come to rest.
func (p *logProgramme) pause(d time.Duration) { waitFor(p.leaving, d) }

// wait waits for d, or until the clients shall go.
func (p *logProgramme) wait(d time.Duration) { waitFor(p.resting, d) }

func waitFor(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// publish stores publications with plain Redis commands.
func (p *logProgramme) publish(i int) {
	rng := newRand(p.seed, uint64(1000+i))
	client := p.redis.client()
	defer client.Close()
	for p.leaving.Err() == nil {
		n := p.published.Add(1)
		if n > p.wanted {
			return
		}
		p.store(client, n, address(rng))
		p.pause(time.Duration(rng.IntN(12)) * time.Millisecond)
	}
}

// address draws whom a publication is for.
func address(rng *rand.Rand) string {
	switch rng.IntN(10) {
	case 0:
		return "all"
	case 1, 2, 3:
		return fmt.Sprintf("user:u%d", rng.IntN(readers))
	}
	return fmt.Sprintf("channel:r%d", rng.IntN(rooms))
}

// store stores one publication, and notes it.
func (p *logProgramme) store(client *redis.Client, n int64, to string) {
	s := storing{number: n, to: to, began: time.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := client.Do(ctx, "XADD", "ws:log", "*", "to", to, "data", fmt.Sprintf(`{"n":%d,"pad":"%0*d"}`, n, n%300, 0)).Err()
	s.sure, s.done = err == nil, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stored = append(p.stored, s)
}

// settle stores publications for all until every client has got one of them: so each has all
// that was stored before, or was told.
func (p *logProgramme) settle(list []*reader) {
	client := p.redis.client()
	defer client.Close()
	for _, n := range p.nodes {
		stack.Wait(p.t, "/ready", n.Ready)
	}
	first := p.published.Add(1)
	late := func() (n int) {
		for _, r := range list {
			if r.newest.Load() < first {
				n++
			}
		}
		return n
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(stack.Bound(time.Minute)); late() > 0; <-tick.C {
		if time.Now().After(deadline) {
			p.t.Errorf("%d clients have not come to the end", late())
			return
		}
		p.store(client, p.published.Add(1), "all")
	}
}

// breakThings makes the faults, spread over the publications, and lets nodes die at quiet
// moments: after each 50 faults, and in the end.
func (p *logProgramme) breakThings() {
	rng := newRand(p.seed, 7)
	var deck []string
	for i := range p.faults {
		after := p.wanted * int64(i+1) / int64(p.faults+1)
		for p.published.Load() < after && p.leaving.Err() == nil {
			p.pause(5 * time.Millisecond)
		}
		if p.leaving.Err() != nil {
			p.t.Errorf("time is up after %d of %d faults", i, p.faults)
			return
		}
		if len(deck) == 0 {
			deck = append(deck, logFaults...)
			rng.Shuffle(len(deck), func(a, b int) { deck[a], deck[b] = deck[b], deck[a] })
		}
		node, began := rng.IntN(2), time.Now()
		p.breakOne(deck[0], node, time.Duration(100+rng.IntN(p.lasting))*time.Millisecond)
		p.harmed(deck[0], node, began)
		p.made[deck[0]]++
		deck = deck[1:]
		if i%50 == 49 || i == p.faults-1 {
			p.letNodesDie(readers, rng.IntN(2), i%100 == 49)
		}
	}
}

// breakOne makes one fault, and mends it.
func (p *logProgramme) breakOne(kind string, node int, lasting time.Duration) {
	t := worker{p.t}
	n := p.nodes[node]
	switch kind {
	case "node-kill":
		n.Kill()
		p.pause(lasting)
		n.Start(t)
	case "node-term":
		n.Stop(t)
		p.pause(lasting)
		n.Start(t)
	case "node-freeze":
		n.Pause()
		p.pause(lasting)
		n.Resume()
	case "redis-kill":
		p.redis.now().Kill()
		p.pause(lasting)
		p.redis.now().Start(t)
	case "redis-freeze":
		p.redis.now().Pause()
		p.pause(lasting)
		p.redis.now().Resume()
	case "redis-kill-node-freeze": // the node sees another history on a line of its own
		n.Pause()
		p.redis.now().Kill()
		p.redis.now().Start(t)
		p.pause(lasting)
		n.Resume()
	case "pause-beyond-window":
		n.Pause()
		p.pause(lasting)
		p.redis.now().Do(t, "XTRIM", "ws:log", "MAXLEN", 1)
		n.Resume()
	case "flushall":
		p.redis.now().Do(t, "FLUSHALL")
	case "trim":
		p.redis.now().Do(t, "XTRIM", "ws:log", "MAXLEN", 3)
	case "kill-connections":
		p.redis.now().Do(t, "CLIENT", "KILL", "TYPE", "normal")
	case "failover":
		p.failOver(t, node, lasting)
	default:
		p.breakWay(p.toRedis[node], kind, lasting)
	}
}

// failOver lets the replica become the master without what was stored last. The other node
// has read that; the given one has not, so it sees no entry missing.
func (p *logProgramme) failOver(t worker, node int, lasting time.Duration) {
	client := p.redis.client()
	defer client.Close()
	rng := newRand(p.seed, uint64(p.published.Load()))
	some := func() {
		for range lostTail {
			p.store(client, p.published.Add(1), address(rng))
		}
	}
	live := func() bool { return p.nodes[node].Metric(t, "wsfpm_log_state", `state="live"`) == 1 }
	stack.Wait(t, "the node to read the log", live) // else there is a gap for what happened before
	w := p.toRedis[node]
	w.each((*link).breakDown)
	p.redis.isolate(t)
	some()
	p.pause(lasting)
	p.redis.failOver(t)
	w.each((*link).mend)
	some()
	p.redis.comesBack(t)
	stack.Wait(t, "the node to read the log again", live)
}

// breakWay breaks a node's way to Redis.
func (p *logProgramme) breakWay(w *way, kind string, lasting time.Duration) {
	switch kind {
	case "link-hole":
		w.each((*link).swallow)
		p.pause(lasting)
		w.each((*link).mend)
	case "link-down":
		w.each((*link).breakDown)
		p.pause(lasting)
		w.each((*link).mend)
	case "link-reset":
		w.each((*link).reset)
	}
}
