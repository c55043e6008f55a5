package once

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"wsfpm/gateway/suspend"
)

// Request is a message with an id that is to be run once.
type Request struct {
	Key  string // see [Key]
	Hash string // see [Hash]
	// Keep is for how long a client may repeat the message, from its first sending.
	Keep time.Duration
	// Longest is how long a run may take, from Ask to End: what runs longer may be run
	// again, as a second attempt.
	Longest time.Duration
	// Wait is how long to wait for another process that runs the same message.
	Wait time.Duration
	// Most is the largest answer that is kept, in bytes.
	Most int
	// Gone is closed when the client has left: then nothing is waited for.
	Gone <-chan struct{}
}

// Kind is the kind of a [Verdict].
type Kind uint8

// The kinds of verdicts for a message that is not run.
const (
	Answer   Kind = iota + 1 // it has run before
	Busy                     // it still runs, or the store gave no reply; a repetition may run
	Unknown                  // the store has a value that cannot be read
	Mismatch                 // its id was used for other data
)

// Verdict is the end of a message that is not run.
type Verdict struct {
	Kind     Kind
	Kept     bool      // with Answer: Messages is the whole answer; else it is not kept
	Messages []Message // with Answer
	Err      error     // for the log, may be nil
}

// Outcome is how a run ended.
type Outcome uint8

// The outcomes of a run.
const (
	// Unclear: the request was cut off or timed out, so that PHP may have run.
	Unclear Outcome = iota
	// Answered: PHP has answered, and the answer counts.
	Answered
	// Done is Answered with an answer that cannot be kept, such as a stream.
	Done
	// Refused: nothing was sent to PHP, or PHP itself answered with an error status. A
	// repetition is a first attempt again.
	Refused
)

// Config configures a [Guard].
type Config struct {
	Store Store
	Nodes Nodes
	// Patience is how long one command of the store may take.
	Patience time.Duration
	// Fresh is the age of a permission up to which [Run.Ready] asks nothing. It is well
	// below the time after which a silent process is dead. Default: 10 s.
	Fresh time.Duration

	clock suspend.Clock // nil: this machine's
}

const fresh = 10 * time.Second

// Guard runs messages with an id once. It is safe for concurrent use. Its memory is bound
// by the messages in it, each of which has a waiting caller.
type Guard struct {
	cfg   Config
	stats counters

	mu   sync.Mutex
	keys map[string]chan struct{} // of the keys in use by this process; closed at the end
}

// New returns a guard.
func New(cfg Config) *Guard {
	cfg.Fresh = cmp.Or(cfg.Fresh, fresh)
	return &Guard{cfg: cfg, keys: make(map[string]chan struct{})}
}

// The pauses between two looks at a message that another process runs.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = time.Second
)

// Ask decides whether a message may run. It returns either the permission, or the verdict.
// It blocks while the same message runs, for r.Wait at most.
func (g *Guard) Ask(ctx context.Context, r Request) (*Run, Verdict) {
	w := waiting{limit: time.After(r.Wait), gone: r.Gone, pause: firstPause}
	if !g.acquire(r.Key, &w) {
		g.stats.busy.Add(1)
		return nil, Verdict{Kind: Busy, Err: errStillRuns}
	}
	run := &Run{guard: g, key: r.Key, most: r.Most, m: newMachine(&r, rand.Text(), g.cfg.Nodes.Node())}
	at := g.cfg.clock.Now()
	do := run.m.start()
	for do.do != doRun && do.do != doEnd {
		if do.do == doWait && !w.sleep() {
			do = run.m.end(Verdict{Kind: Busy, Err: errStillRuns})
			break
		}
		at = g.cfg.clock.Now() // before the command: its reply may take long
		var err error
		if do, err = run.carryOut(ctx, do); err != nil && do.do == doEnd && do.verdict.Err == nil {
			do.verdict.Err = err
		}
	}
	if do.do == doEnd {
		g.release(r.Key)
		g.stats.verdict(do.verdict.Kind)
		return nil, *do.verdict
	}
	run.at, run.Second = at, run.m.second
	g.stats.run(run.Second)
	return run, Verdict{}
}

// command carries out a step of the store. Other steps do nothing.
func (g *Guard) command(ctx context.Context, key string, do step) (r result, err error) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Patience)
	defer cancel()
	switch do.do {
	case doClaim:
		r.found, err = g.cfg.Store.Claim(ctx, key, do.next, do.ttl)
	case doLook:
		r.found, r.left, err = g.cfg.Store.Look(ctx, key)
	case doReplace:
		r.found, err = g.cfg.Store.Replace(ctx, key, do.old, do.next, do.ttl)
	case doRemove:
		err = g.cfg.Store.Remove(ctx, key, do.old)
	}
	if err != nil {
		g.stats.errors.Add(1)
		r.lost = true
	}
	return r, err
}

// errStillRuns is the cause of [Busy] when the same message has not ended in time.
var errStillRuns = errors.New("the same message still runs")

// waiting is a caller of Ask that waits.
type waiting struct {
	limit <-chan time.Time
	gone  <-chan struct{}
	pause time.Duration
}

// sleep waits before the next look at another process's run. It returns false when there
// is to be none.
func (w *waiting) sleep() bool {
	next := time.After(w.pause)
	w.pause = min(w.pause*3/2, maxPause)
	select {
	case <-next:
		return true
	case <-w.limit:
	case <-w.gone:
	}
	return false
}

// acquire waits until no other request of this process uses the key.
func (g *Guard) acquire(key string, w *waiting) bool {
	for {
		g.mu.Lock()
		ended := g.keys[key]
		if ended == nil {
			g.keys[key] = make(chan struct{})
			g.mu.Unlock()
			return true
		}
		g.mu.Unlock()
		select {
		case <-ended:
		case <-w.limit:
			return false
		case <-w.gone:
			return false
		}
	}
}

// release undoes acquire.
func (g *Guard) release(key string) {
	g.mu.Lock()
	ended := g.keys[key]
	delete(g.keys, key)
	g.mu.Unlock()
	close(ended)
}
