package faults

import (
	"context"
	"flag"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"wsfpm/test/stack"
)

// silence is a logger for go-redis, whose errors are the point here.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redis.SetLogger(silence{})
	os.Exit(stack.Main(m, "faults", func(*stack.Suite) {}))
}

// A client's mean pause between two rounds keeps the machine short of
// saturation, where every fault would look like overload. The short programme
// may run beside other work.
const (
	meanPause  = 100 * time.Millisecond
	shortPause = 400 * time.Millisecond
)

var (
	seedFlag   = flag.Uint64("seed", 0, "seed of the plan; 0 for the short programme's own")
	eventsFlag = flag.Int64("events", 0, "events of the long programme; 0 for the short one")
	faultsFlag = flag.Int("faults", 500, "faults of the long programme")
	reportFlag = flag.String("report", "", "write the tables to this file, in Markdown")
	mostFlag   = flag.Duration("most", 30*time.Minute, "the longest that the programme may take")
)

// The short programme.
const (
	shortSeed   = 1
	shortEvents = 8_000
	shortFaults = 24
	shortMost   = 10 * time.Minute
	talkers     = 300
)

func TestFaults(t *testing.T) {
	stack.Integration(t)
	seed, events, faults, most := uint64(shortSeed), int64(shortEvents), shortFaults, shortMost
	pause := shortPause
	if *eventsFlag > 0 {
		events, faults, most, pause = *eventsFlag, *faultsFlag, *mostFlag, meanPause
	}
	if *seedFlag > 0 {
		seed = *seedFlag
	}
	p := &programme{t: t, plan: plan(seed, faults, events), wanted: events, pause: pause, verdict: &verdict{seed: seed}}
	t.Logf("seed %d, %d events, %d faults:\n%s", seed, events, faults, printPlan(p.plan))
	p.run(most)
	p.report()
}

// programme is one run of a plan.
type programme struct {
	t       *testing.T
	plan    []fault
	world   *world
	verdict *verdict
	wanted  int64         // events
	pause   time.Duration // of a client between two rounds, about
	began   time.Time
	took    time.Duration
	base    [2]resources
	watched [2]watched  // by watch alone until the end
	served  [2][]served // likewise

	windows      windows
	publications publications
	mood         atomic.Pointer[mood]
	events       atomic.Int64 // that have ended
	vanishing    atomic.Int64 // clients that shall, by faults
	flooding     atomic.Int64
	dripping     atomic.Int64
	ids          [talkers]atomic.Pointer[string] // of connections, now or lately
	strays       sync.WaitGroup                  // clients that faults brought
	quiet        context.Context                 // ends when the clients shall leave
	hush         context.CancelFunc

	mu       sync.Mutex // guards what follows
	counts   map[string]int
	made     map[string]int           // faults by kind
	sessions []*session               // over
	longest  time.Duration            // wait for an answer
	recovery map[string]time.Duration // the longest by kind of fault
	peakRSS  float64
}

// run lets everybody talk, breaks what the plan says, and checks.
func (p *programme) run(most time.Duration) {
	p.counts, p.made, p.recovery = make(map[string]int), make(map[string]int), make(map[string]time.Duration)
	p.world = newWorld(p.t)
	p.baseline()
	p.quiet, p.hush = context.WithTimeout(context.Background(), most)
	defer p.hush()
	p.began = time.Now()
	var talking, breaking, publishing sync.WaitGroup
	for i := range talkers {
		talking.Go(func() { p.talk(i) })
	}
	publishing.Go(p.publish)
	publishing.Go(p.watch)
	for _, l := range laneList() {
		breaking.Go(func() { p.breakThings(l.name) })
	}
	breaking.Wait()
	for p.events.Load() < p.wanted && p.quiet.Err() == nil {
		p.rest(50 * time.Millisecond)
	}
	if p.quiet.Err() != nil {
		p.t.Errorf("%d of %d events and %d of %d faults after %v", p.events.Load(), p.wanted, p.broken(), len(p.plan), most)
	}
	p.hush()
	talking.Wait()
	publishing.Wait()
	p.strays.Wait()
	p.took = time.Since(p.began)
	p.afterwards()
}

// breakThings makes the faults of one lane, one after another.
func (p *programme) breakThings(lane string) {
	t := worker{p.t}
	for _, f := range p.plan {
		if f.Lane != lane {
			continue
		}
		for p.events.Load() < f.After && !p.over() {
			p.rest(5 * time.Millisecond)
		}
		if p.over() {
			return
		}
		p.make(t, f)
		p.mu.Lock()
		p.made[f.Lane+" "+f.Kind]++
		p.mu.Unlock()
	}
}

func (p *programme) broken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, made := range p.made {
		n += made
	}
	return n
}

// over reports whether the clients shall leave.
func (p *programme) over() bool { return p.quiet.Err() != nil }

// rest waits for d, or until the programme is over.
func (p *programme) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.quiet.Done():
	}
}

// take takes one of a number of tokens.
func (p *programme) take(tokens *atomic.Int64) bool {
	for {
		n := tokens.Load()
		if n <= 0 {
			return false
		}
		if tokens.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

func (p *programme) count(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[what]++
}

func (p *programme) noteWait(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.longest = max(p.longest, d)
}

func (p *programme) keep(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.since, s.last, s.pending = nil, nil, nil
	p.sessions = append(p.sessions, s)
}

// script is the PHP that every event runs.
func script(t stack.T) string {
	text, err := os.ReadFile("testdata/ws.php")
	if err != nil {
		t.Fatalf("read the script: %v", err)
	}
	return string(text)
}
