package durable

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"wsfpm/gateway/redis"
	"wsfpm/session"
)

// fakeStore is a stream in memory that a test breaks.
type fakeStore struct {
	mu       sync.Mutex
	entries  []redis.Entry
	last     uint64
	info     string
	refused  error    // in place of info
	missing  []string // rights
	down     error    // of Open, Round and Append
	opened   int
	trimmed  []string
	asked    int // rounds that asked for INFO
	rounds   atomic.Int64
	changed  chan struct{}
	appended int
	skew     time.Duration // of its clock
	loads    chan struct{} // if set, the log can be loaded when it is closed
	narrow   int           // more entries do not come through in one round; 0: any number does
}

func newFakeStore() *fakeStore {
	return &fakeStore{info: info(tagA, true), last: 100, changed: make(chan struct{})}
}

// change changes the store under its lock, and wakes a round that waits.
func (f *fakeStore) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fakeStore) addLocked(fields ...string) string {
	f.last++
	id := fmt.Sprintf("%d-0", f.last)
	f.entries = append(f.entries, redis.Entry{ID: id, Fields: fields})
	return id
}

// publish adds an entry for each pair of an address and data, together: no round ends among
// them.
func (f *fakeStore) publish(pairs ...string) {
	f.change(func() {
		for ; len(pairs) > 0; pairs = pairs[2:] {
			f.addLocked("to", pairs[0], "data", pairs[1])
		}
	})
}

// times repeats the pair of an address and data.
func times(n int, pair ...string) []string { return slices.Repeat(pair, n) }

func (f *fakeStore) Open(context.Context) (Line, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return nil, f.down
	}
	f.opened++
	return &fakeLine{fakeStore: f, closed: make(chan struct{})}, nil
}

func (f *fakeStore) Append(_ context.Context, entries ...[]string) (ids []string, err error) {
	f.change(func() {
		if err = f.down; err != nil {
			return
		}
		f.appended++
		for _, e := range entries {
			ids = append(ids, f.addLocked(e...))
		}
	})
	return ids, err
}

type fakeLine struct {
	*fakeStore
	once   sync.Once
	closed chan struct{}
}

func (l *fakeLine) Close() { l.once.Do(func() { close(l.closed) }) }

func (l *fakeLine) Missing(context.Context) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.missing, nil
}

func (l *fakeLine) Time(context.Context) (time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Add(l.skew), nil
}

func (l *fakeLine) Trim(_ context.Context, oldest string) error {
	l.change(func() { l.trimmed = append(l.trimmed, oldest) })
	return nil
}

func (l *fakeLine) Round(ctx context.Context, after string, count int, block time.Duration, info bool) (redis.Round, error) {
	l.mu.Lock()
	loads := l.loads
	l.mu.Unlock()
	if after == "" && loads != nil {
		select {
		case <-loads:
		case <-ctx.Done():
			return redis.Round{}, ctx.Err()
		}
	}
	wait := time.NewTimer(block)
	defer wait.Stop()
	for first := true; ; first = false {
		l.mu.Lock()
		round, err := l.lookLocked(after, count, info, first)
		changed := l.changed
		l.mu.Unlock()
		if err != nil || len(round.Entries) > 0 || block == 0 {
			return round, err
		}
		select {
		case <-changed:
		case <-wait.C:
			return round, nil
		case <-l.closed:
			return redis.Round{}, errors.New("closed")
		case <-ctx.Done():
			return redis.Round{}, ctx.Err()
		}
	}
}

func (l *fakeLine) lookLocked(after string, count int, info, first bool) (round redis.Round, err error) {
	if l.down != nil {
		return round, l.down
	}
	if first {
		l.rounds.Add(1)
	}
	from := -1
	if after != "" {
		from = slices.IndexFunc(l.entries, func(e redis.Entry) bool { return e.ID == after })
	}
	round.Present = from >= 0
	round.Entries = slices.Clone(l.entries[from+1:][:min(count, len(l.entries)-from-1)])
	if l.narrow > 0 && len(round.Entries) > l.narrow {
		return redis.Round{}, errors.New("timeout")
	}
	if info {
		l.asked++
		round.Info, round.Refused = l.info, l.refused
	}
	return round, nil
}

// ear is a listener that writes down what it hears.
type ear struct {
	log  *Log
	mu   sync.Mutex
	text []string
	full chan struct{} // not nil: there is no room until it is closed
}

func (e *ear) hear(format string, args ...any) func(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.text = append(e.text, fmt.Sprintf(format, args...))
	if e.full == nil {
		return nil
	}
	full := e.full
	return func(ctx context.Context) error {
		select {
		case <-full:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (e *ear) Deliver(c *session.Command) func(context.Context) error {
	note := ""
	if newest := e.log.Newest(); c.At.After(newest) {
		note = fmt.Sprintf(" before the window, which is at %v", newest)
	}
	return e.hear("%s to %s%s", c.Message.Data(), c.To[0], note)
}

func (e *ear) Reached(p session.Position) func(context.Context) error { return e.hear("at %v", p) }

func (e *ear) Gap(p session.Position, lost bool) func(context.Context) error {
	if !lost {
		return e.hear("renamed %v", p)
	}
	return e.hear("gap %v", p)
}

// heard returns what was heard since the last call, when nothing more happens.
func (e *ear) heard() string {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	defer func() { e.text = nil }()
	return strings.Join(e.text, ", ")
}

// listen starts a log that ends with the test, in a bubble of synctest.
func listen(t *testing.T, cfg Config) (*Log, *ear, *observer.ObservedLogs) {
	t.Helper()
	core, logged := observer.New(zap.DebugLevel)
	cfg.Logger = zap.New(core)
	l := New(cfg)
	e := &ear{log: l}
	l.Listen(e)
	t.Cleanup(l.Close)
	return l, e, logged
}

// loadedLog is listen for a store with one entry, after it is loaded.
func loadedLog(t *testing.T, f *fakeStore, cfg Config) (*Log, *ear, *observer.ObservedLogs) {
	t.Helper()
	f.publish("all", "old")
	cfg.Store = f
	l, e, logged := listen(t, cfg)
	if got := await(e); got != "gap 101-0-aaaaaa" {
		t.Fatalf("heard %q at the beginning", got)
	}
	return l, e, logged
}
