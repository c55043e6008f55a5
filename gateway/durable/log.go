package durable

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"wsfpm/session"
)

// ErrNotLoaded is returned by [Log.Append] while the log has no position, and so no tag for
// ids: at the start, after a gap, and while the log is shut.
var ErrNotLoaded = errors.New("the log is not loaded")

// Config configures a Log. Zero fields take the documented defaults.
type Config struct {
	// Store holds the log; nil: the memory of this process.
	Store Store
	// Keep and Memory bound the window, in the time between its oldest and its newest
	// entry and in bytes; default 1 h and 64 MiB. The log in Redis is trimmed to it.
	Keep   time.Duration
	Memory int64
	// PushLimit is the largest payload, in bytes; default 1 MiB. A larger one is
	// dropped, logged and counted.
	PushLimit int64
	// NoTag: do not ask Redis for the tag of its history, for proxies whose connections
	// lead to servers that show different ones. A failover that loses entries is then found
	// only if the entry read last was lost.
	NoTag bool
	// Embedded: the store is the embedded server, which shows no tag. That of this start
	// is taken.
	Embedded bool
	// Confirm bounds the wait of Append and Await; default 1 s.
	Confirm time.Duration
	// Logger logs problems; default none.
	Logger *zap.Logger
}

// Listener takes what the log has read; [delivery.Fanout] implements it. Its methods do not
// block: if there is no room they return a function that waits for it until its context ends.
type Listener interface {
	// Deliver takes the command of one entry, with its position.
	Deliver(c *session.Command) (wait func(context.Context) error)
	// Reached reports that all entries up to p have been delivered.
	Reached(p session.Position) (wait func(context.Context) error)
	// Gap reports that entries before p may be missing; with lost false only the tag of the
	// history has changed.
	Gap(p session.Position, lost bool) (wait func(context.Context) error)
}

// Log is the log of durable messages as this process sees it: it reads all of it, at a pace,
// keeps a window of it, and appends to it. It implements [session.Window]. All methods are
// safe for concurrent use.
//
// An entry is in the window before it is passed to the listener. While the listener has no
// room the log is not read; if it is trimmed meanwhile, that is a gap.
type Log struct {
	cfg     Config
	log     *zap.Logger
	droplog *zap.Logger // log, at most a few lines a second
	store   Store
	window  *window
	to      Listener // set by Listen

	end    context.CancelFunc
	ending sync.WaitGroup
	counts counts

	// Owned by the goroutine that reads.
	reader  reader
	trimmer trimmer
	loading bool // the window is not live
	warned  bool // that Redis shows no tag
	looked  bool // for what is wrong in Redis

	mu    sync.Mutex // guards what follows
	state state
	why   error         // of the state
	tag   session.Tag   // of the newest entry; 0: not loaded
	moved chan struct{} // closed and replaced when there is more, or a gap
}

// state is what the log does.
type state string

const (
	stateLoading state = "loading"
	stateLive    state = "live"
	stateDown    state = "down" // no line: the window is as it was
	stateShut    state = "shut" // a right is missing
)

// counts are the counters of Stats.
type counts struct {
	appended, failed, read atomic.Uint64
	bad, gaps              map[string]*atomic.Uint64 // by reason
	lag                    atomic.Int64              // see Stats.Lag
}

// New returns a log, which does nothing before [Log.Listen]. The caller must call Close.
func New(cfg Config) *Log {
	cfg = cfg.withDefaults()
	l := &Log{
		cfg:     cfg,
		log:     cfg.Logger,
		store:   cfg.Store,
		window:  newWindow(cfg.Keep, cfg.Memory),
		end:     func() {},
		loading: true,
		reader:  reader{own: session.NoTag, ignoring: cfg.NoTag},
		trimmer: trimmer{memory: cfg.Memory},
		state:   stateLoading,
		moved:   make(chan struct{}),
		counts:  counts{bad: newCounters(reasons), gaps: newCounters(gapReasons)},
	}
	if cfg.Store == nil {
		l.store = newLocal()
	}
	if cfg.Store == nil || cfg.Embedded {
		l.reader.own = newTag()
	}
	l.droplog = l.log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, 5, 0)
	}))
	return l
}

// newTag makes a tag of this start.
func newTag() session.Tag {
	tag, err := session.ParseTag(fmt.Sprintf("%06x", rand.N(1<<24)))
	if err != nil {
		panic(err) // six hexadecimal digits
	}
	return tag
}

func newCounters(names []string) map[string]*atomic.Uint64 {
	counters := make(map[string]*atomic.Uint64, len(names))
	for _, name := range names {
		counters[name] = new(atomic.Uint64)
	}
	return counters
}

func (cfg Config) withDefaults() Config {
	cfg.Keep = cmp.Or(cfg.Keep, time.Hour)
	cfg.Memory = cmp.Or(cfg.Memory, 64<<20)
	cfg.PushLimit = cmp.Or(cfg.PushLimit, 1<<20)
	cfg.Confirm = cmp.Or(cfg.Confirm, time.Second)
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop())
	return cfg
}

// Listen begins to read. It does not wait for Redis. It is called once, before any other
// method except Newest and Stats.
func (l *Log) Listen(to Listener) {
	run, end := context.WithCancel(context.Background())
	l.to, l.end = to, end
	if own, ok := l.store.(*local); ok {
		l.beginLocal(run, own)
	}
	l.ending.Go(func() { l.keep(run) })
}

// beginLocal loads the log of this process, so that there is no time without a position.
func (l *Log) beginLocal(ctx context.Context, own *local) {
	if err := l.round(ctx, own); err != nil {
		l.log.Error("the log was not loaded", zap.Error(err))
	}
}

// Close ends reading. Later calls do nothing.
func (l *Log) Close() {
	l.end()
	l.ending.Wait()
}

// Since is that of the window, see [session.Window].
func (l *Log) Since(after session.Position, to []session.Address, most int, list []*session.Command) (out []*session.Command, through session.Position, known bool) {
	return l.window.Since(after, to, most, list)
}

// Newest is the position of the newest entry; zero while the log is not loaded.
func (l *Log) Newest() session.Position { return l.window.Newest() }

// Age is that of the entry that follows p, by Redis's clock if its user may ask for that; zero
// if there is none.
func (l *Log) Age(p session.Position) time.Duration { return l.window.Age(p) }

// ahead is how far a position may be ahead of the newest entry for Await to wait for it.
const ahead = 10_000 // milliseconds

// Await waits, at most for Config.Confirm and until ctx ends, until this process has read up
// to p: another one, which a client has come from, may be ahead. It also waits while the log
// is loaded. It does not ask Redis, so that a forged position costs none. It reports
// whether p may be in the window.
func (l *Log) Await(ctx context.Context, p session.Position) bool {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Confirm)
	defer cancel()
	if p.IsZero() || !l.Loaded(ctx) {
		return false
	}
	for {
		moved, _ := l.watch()
		newest := l.window.Newest()
		switch {
		case newest.IsZero(), !l.window.knows(p.Tag), p.Milli > newest.Milli+ahead:
			return false
		case !p.After(newest):
			return true
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
}

// Loaded waits until the log is loaded, or until that cannot be expected because Redis is not
// reached or refuses, or until ctx ends. It reports whether it is loaded.
func (l *Log) Loaded(ctx context.Context) bool {
	for {
		moved, now := l.watch()
		if !l.window.Newest().IsZero() {
			return true
		}
		if now != stateLoading {
			return false
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
}

// watch returns a channel that is closed at the next change, and the state.
func (l *Log) watch() (moved <-chan struct{}, now state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.moved, l.state
}

// Ready returns why the log is not loaded, or nil. One that is shut is ready: this process
// does all that it can without the right.
func (l *Log) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.state == stateShut || l.tag != 0:
		return nil
	case l.why != nil:
		return fmt.Errorf("the log is not loaded: %w", l.why)
	}
	return ErrNotLoaded
}

// Shut reports whether Redis refuses a command that the log needs.
func (l *Log) Shut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state == stateShut
}

// set changes the state.
func (l *Log) set(s state, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.why = s, why
	l.changedLocked()
}

// move announces that the window has changed. Tag is that of the newest entry, 0 while the
// log is not loaded.
func (l *Log) move(tag session.Tag) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tag = tag
	l.changedLocked()
}

// changedLocked wakes all that wait for a change.
func (l *Log) changedLocked() {
	close(l.moved)
	l.moved = make(chan struct{})
}
