package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"wsfpm/gateway/suspend"
	"wsfpm/session"
)

// Config configures a Registry.
type Config struct {
	Store  Store
	Prefix string // of all names in Redis
	// Name returns a new name of this node: it is called at the start, and each time when
	// others have claimed the node. Two calls never return the same, in any process.
	Name func() string
	// Presence says what is counted; nil: nothing. [Registry.SetPresence] replaces it.
	Presence *Presence
	// Lost takes over a connection of a node that died, whose disconnect event is due. It
	// does not block. See [Registry.TakeLost] and [Registry.LostOver].
	Lost func(*Lost)
	// Claimed is called when this node was taken for dead, after [Registry.Node] has
	// changed. The entries of the former name are not [Entry.Valid] any more: their
	// clients are to be sent away. It does not block.
	Claimed func()
	// Timeout bounds the wait for Redis of one call of Enter and Leave.
	Timeout time.Duration
	// Logger may be nil.
	Logger *zap.Logger

	clock suspend.Clock // nil: this machine's
}

// Registry keeps the records of this process's connections. Its methods are safe for
// concurrent use.
type Registry struct {
	cfg      Config
	log      *zap.Logger
	keys     keys
	start    suspend.Time // zero of the node's own clock
	presence atomic.Pointer[Presence]
	life     atomic.Pointer[life]
	up       atomic.Bool  // the last call to Redis was answered
	tried    atomic.Int64 // when the last beat that is over began, see lease
	counts   counts

	lease     *lease // of the beat loop
	claims    claims // of the work loop
	reconcile reconcile

	beatNow chan struct{} // capacity 1: beat before it is due
	work    chan struct{} // capacity 1: the work loop is to look
	stop    chan struct{}
	loops   sync.WaitGroup

	mu      sync.Mutex        // guards what follows; a leaf
	entries map[string]*Entry // by id; of former lives too
	queue   []*Entry          // to be written
	urgent  bool              // some of them at once
	forget  []*Entry          // to be unregistered without a disconnect event, oldest first
	beaten  chan struct{}     // closed at the end of a beat
	dead    []death           // by the last beat
	alive   map[string]bool   // all nodes that the last beat listed and that are not dead
	silence silence
}

// life is the time of this process under one name.
type life struct {
	node, stamp string
	over        atomic.Bool // others have claimed it
}

// Entry is a connection in the registry.
type Entry struct {
	id      string
	life    *life
	unknown bool // the reconciliation has found a record of it, and no connection

	mu        sync.Mutex // held while its record is on its way; guards slot and confirmed
	slot      slot
	confirmed uint32 // the scan during which Redis confirmed its record last, see reconcile.cycle

	// Guarded by Registry.mu.
	describe func() Info // nil after the end: it holds the connection's memory
	queued   bool
	changed  bool   // since the last write was made
	lost     bool   // Redis forgot it
	seen     uint32 // the scan that saw it last, see reconcile.cycle
}

// mostForgotten is the maximum of connections that are remembered to be unregistered.
const mostForgotten = 100_000

// New returns a registry, which beats from now on. [Registry.Close] ends it.
func New(cfg Config) *Registry {
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop())
	r := &Registry{
		cfg: cfg, log: cfg.Logger, keys: keys(cfg.Prefix), start: cfg.clock.Now(),
		beatNow: make(chan struct{}, 1), work: make(chan struct{}, 1), stop: make(chan struct{}),
		entries: make(map[string]*Entry), beaten: make(chan struct{}), silence: newSilence(),
	}
	r.claims.open = make(map[string]*claim)
	r.up.Store(true)
	r.presence.Store(cfg.Presence)
	if cfg.Presence == nil {
		r.presence.Store(new(Presence))
	}
	r.begin()
	r.loops.Go(r.beatLoop)
	r.loops.Go(r.workLoop)
	return r
}

// begin starts a life under a new name.
func (r *Registry) begin() {
	name := r.cfg.Name()
	r.life.Store(&life{node: name, stamp: strings.ToLower(rand.Text())})
	r.lease = newLease(name)
	r.lease.tried = r.now() // other nodes have seen no beat of it yet
}

// Node returns the present name of this node.
func (r *Registry) Node() string { return r.life.Load().node }

// now is the node's own monotonic clock, which goes on while the machine is suspended: others
// take the node for dead meanwhile.
func (r *Registry) now() time.Duration { return r.cfg.clock.Since(r.start) }

// Enter registers a connection and waits, for Config.Timeout at most, until Redis has
// its record; if it does not answer, the record is written later. Describe returns the
// connection as it is when it is called. It takes no lock under which Changed is called.
// The caller calls Leave or Drop in the end.
func (r *Registry) Enter(ctx context.Context, id string, describe func() Info) *Entry {
	e := &Entry{id: id, life: r.life.Load(), describe: describe}
	r.mu.Lock()
	r.entries[id] = e
	e.changed = true
	r.mu.Unlock()
	r.counts.entered.Add(1)
	if !r.up.Load() {
		r.enqueue(e, false)
		return e
	}
	// Not the caller's end: a client that leaves would put its record in doubt.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Timeout)
	defer cancel()
	r.write(ctx, []*Entry{e})
	return e
}

// Valid reports whether the node under whose name the connection is registered is not
// known to be claimed.
func (e *Entry) Valid() bool { return !e.life.over.Load() }

// Changed notes a change of a connection's membership. It is written at once if it changes
// presence, else within a second. It does not block.
func (r *Registry) Changed(e *Entry, old, next session.Membership) {
	p := r.presence.Load()
	was, is := p.Names(old), p.Names(next)
	r.enqueue(e, !slices.Equal(was, is) || old.User != next.User && len(is) > 0)
}

// ChangedID is Changed for the connection with this id, if it is registered.
func (r *Registry) ChangedID(id string, old, next session.Membership) {
	r.mu.Lock()
	e := r.entries[id]
	r.mu.Unlock()
	if e != nil {
		r.Changed(e, old, next)
	}
}

// enqueue has an entry written.
func (r *Registry) enqueue(e *Entry, urgent bool) {
	r.mu.Lock()
	e.changed = true
	r.enqueueLocked(e)
	r.urgent = r.urgent || urgent
	r.mu.Unlock()
	signal(r.work)
}

func (r *Registry) enqueueLocked(e *Entry) {
	if e.queued || e.describe == nil {
		return
	}
	if len(r.queue) > bite+2*len(r.entries) { // most have ended since: Redis is away
		r.queue = slices.DeleteFunc(r.queue, func(e *Entry) bool { return e.describe == nil })
	}
	e.queued = true
	r.queue = append(r.queue, e)
}

// SetPresence changes what is counted, for all connections.
func (r *Registry) SetPresence(p *Presence) {
	old := r.presence.Swap(p)
	if old.Users == p.Users && slices.Equal(old.Channels, p.Channels) {
		return
	}
	r.mu.Lock()
	for _, e := range r.entries {
		e.changed = true
		r.enqueueLocked(e)
	}
	r.urgent = true
	r.mu.Unlock()
	signal(r.work)
}

// write sends the records of entries that have changed, in one pipeline. The entries of
// one call are different.
func (r *Registry) write(ctx context.Context, list []*Entry) {
	var of []*Entry
	var calls []Call
	for _, e := range list {
		e.mu.Lock()
		if w := r.nextWrite(e); w != nil {
			of, calls = append(of, e), append(calls, r.keys.put(w, e.life.node, e.id))
		} else {
			e.mu.Unlock()
		}
	}
	for i, a := range r.eval(ctx, calls) {
		e := of[i]
		again := true
		if a.err == nil {
			again = e.slot.answered(a.code)
			e.confirmed = r.reconcile.cycle.Load()
			r.moved(calls[i].Script.Name, a.text)
		} else {
			e.slot.unanswered()
		}
		claimed := a.code == codeClaimed
		e.mu.Unlock()
		switch {
		case claimed:
			signal(r.beatNow)
		case again:
			r.mu.Lock()
			r.enqueueLocked(e)
			r.mu.Unlock()
		}
	}
}

// nextWrite returns the write of an entry, whose lock is held.
func (r *Registry) nextWrite(e *Entry) *write {
	r.mu.Lock()
	changed, lost, describe := e.changed, e.lost, e.describe
	e.changed, e.lost = false, false
	r.mu.Unlock()
	if describe == nil || !e.Valid() {
		return nil
	}
	e.slot.dirty = e.slot.dirty || changed
	if lost {
		e.slot.forgot()
	}
	return e.slot.next(e.id, func() Record { return r.record(describe()) })
}

// record is the record of a connection, without its version.
func (r *Registry) record(info Info) Record {
	names := r.presence.Load().Names(session.Membership{User: info.User, Channels: info.Channels})
	return Record{Counted: names, Info: info}
}

// result is the answer to a call, or why there is none.
type result struct {
	answer
	err error
}

// eval runs scripts. An error of the connection marks Redis as down until the next beat
// that goes through.
func (r *Registry) eval(ctx context.Context, calls []Call) []result {
	if len(calls) == 0 {
		return nil
	}
	list := make([]result, len(calls))
	for i, a := range run(ctx, r.cfg.Store, calls) {
		list[i].err = a.Err
		if a.Err == nil {
			list[i].answer, list[i].err = parseAnswer(calls[i].Script.Name, a.Value)
		}
		if list[i].err != nil {
			r.failed(calls[i].Script.Name, list[i].err)
		}
	}
	return list
}

// failed notes a call that failed. A call that its caller cancelled says nothing of Redis.
func (r *Registry) failed(script string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	r.counts.failed.Add(1)
	if r.up.Swap(false) {
		signal(r.beatNow)
		r.warn(script, err)
	}
}

// warn logs, at most once a minute, what Redis does not take.
func (r *Registry) warn(script string, err error) {
	now := time.Now().UnixMilli()
	if last := r.counts.warned.Load(); now-last > time.Minute.Milliseconds() && r.counts.warned.CompareAndSwap(last, now) {
		r.log.Warn("redis does not take the registry's writes", zap.String("script", script), zap.Error(err))
	}
}

// moved counts the transitions that a script has said, and returns them.
func (r *Registry) moved(script, said string) []Transition {
	list := transitions(said)
	r.counts.moved(list)
	for _, t := range list {
		if t.Spoilt {
			r.warn(script, fmt.Errorf("%v is not counted: another program has changed its key", t.Name))
		}
	}
	return list
}

// signal wakes a loop.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is awake already
	}
}
