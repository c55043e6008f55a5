package fcgi

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Pool runs requests on one application server. It is safe for concurrent use.
//
// It never occupies more than Config.MaxConnections workers, counting those that
// still run a script whose caller has left. A request takes the newest idle
// connection, or opens one, or waits in the gateway's own queue: what waits in
// PHP-FPM's backlog runs even when its caller has gone.
type Pool struct {
	events  chan Event
	closing chan struct{}  // closed by Close
	running sync.WaitGroup // sweep, watch and those who settle
	netDial func(context.Context, *Config) (net.Conn, error)

	mu       sync.Mutex // guards what follows
	cfg      *Config    // replaced whole, never changed
	epoch    int        // which address: connections of an earlier one are not kept
	closed   bool
	cutOff   bool // Close has lost its patience
	limit    workingLimit
	open     int // slots taken: connecting, running, settling
	settling int // of these, without a caller
	streams  int // of these, with an answer of unknown length
	missing  int // of these, on connections that no worker has come for in time
	owed     int // connections to be closed for these, between requests
	shortage shortage
	looking  bool
	held     *holding // by workers, of this epoch
	idle     []*conn  // newest last
	conns    map[*conn]struct{}
	queue    queue
	spare    []*waiter
	service  time.Duration // moving average of a slot's time, from 0: one late start is not the rule
	probing  probing
	circuit  circuit
	sweeping bool
	freed    chan struct{} // closed when open falls to 0 after Close; nil before
	stats    Stats         // the counters; Stats fills in the rest
	failures map[Failure]uint64
}

// slot is the right to one worker's time, held by one request, or by the goroutine
// that waits for the worker after it.
type slot struct {
	cfg    *Config
	epoch  int // Pool.epoch when it was taken: whose address cfg has
	owner  *owner
	since  time.Time
	conn   *conn // nil until connected
	stream bool
	freed  chan struct{} // closed when it is free; nil when nobody asks
}

// NewPool returns a pool for the server that cfg describes. It connects to nothing
// before the first request.
func NewPool(cfg Config) (*Pool, error) {
	full, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Pool{
		cfg:      full,
		limit:    newWorkingLimit(full.MaxConnections),
		events:   make(chan Event, maxEvents),
		closing:  make(chan struct{}),
		netDial:  netDial,
		conns:    make(map[*conn]struct{}),
		held:     new(holding),
		queue:    queue{owners: make(map[string]*owner)},
		failures: make(map[Failure]uint64),
	}, nil
}

// acquire waits for a slot. It also returns until when the request may wait for a
// connection: the rest of its time in the queue.
func (p *Pool) acquire(ctx context.Context, r *Request) (slot, time.Time, error) {
	if ctx.Err() != nil {
		return slot{}, time.Time{}, contextError(ctx)
	}
	now := time.Now()
	p.mu.Lock()
	until := now.Add(p.cfg.QueueWait)
	if p.closed {
		p.mu.Unlock()
		return slot{}, until, ErrClosed
	}
	if len(p.idle) == 0 && p.circuit.isOpen(now) { // takes no slot from the attempt that is made
		p.mu.Unlock()
		return slot{}, until, errDown
	}
	o := p.queue.owner(r.Owner)
	if p.queue.total == 0 && p.open < p.limit.now {
		if o != nil {
			o.running++
		}
		s := p.takeLocked(o, now)
		p.mu.Unlock()
		return s, until, nil
	}
	if err := p.refuseLocked(r.Lane, o); err != nil {
		p.queue.forget(o)
		p.mu.Unlock()
		return slot{}, until, err
	}
	w := p.waiterLocked()
	w.lane, w.owner, w.since = r.Lane, o, now
	p.queue.push(w, p.shareLocked())
	p.sweepLocked()
	wait := p.cfg.QueueWait
	p.mu.Unlock()

	s, err := p.wait(ctx, w, wait)
	return s, until, err
}

// takeLocked gives one of the free slots away, with the newest idle connection if
// there is one. The owner has been charged for it.
func (p *Pool) takeLocked(o *owner, now time.Time) slot {
	p.open++
	s := slot{cfg: p.cfg, epoch: p.epoch, owner: o, since: now}
	s.conn = p.popIdleLocked()
	return s
}

// popIdleLocked takes the newest idle connection: few stay warm, the others expire.
func (p *Pool) popIdleLocked() *conn {
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	c := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return c
}

// refuseLocked tells whether waiting is pointless: the lane is full, or those ahead
// would take longer than QueueWait. The first in the queue has nobody ahead and is
// never refused by the second rule, so there is always somebody whose turn brings
// the average back. Streams, which may take minutes, count neither as service nor as slots.
func (p *Pool) refuseLocked(lane Lane, o *owner) error {
	if p.queue.waiting[lane] >= p.cfg.QueueLen {
		p.stats.Overloads++
		return fmt.Errorf("%w: %d requests are waiting", ErrOverloaded, p.queue.waiting[lane])
	}
	ahead := p.queue.ahead(lane, o)
	slots := max(1, p.limit.now-p.streams)
	expected := p.service * time.Duration(ahead) / time.Duration(slots)
	if expected > p.cfg.QueueWait {
		p.stats.Overloads++
		return fmt.Errorf("%w: %d requests are waiting, expected wait %v",
			ErrOverloaded, ahead, expected.Round(time.Millisecond))
	}
	return nil
}

// mostSpares is how many waiters and owners are kept for the next to come. With
// its timer and its channel one takes half a kilobyte, and a storm may have had
// as many as there are clients.
const mostSpares = 256

// waiterLocked returns a waiter, a used one if possible.
func (p *Pool) waiterLocked() *waiter {
	if n := len(p.spare); n > 0 {
		w := p.spare[n-1]
		p.spare = p.spare[:n-1]
		return w
	}
	w := &waiter{granted: make(chan grant, 1), timer: time.NewTimer(time.Hour)}
	w.timer.Stop()
	return w
}

// wait waits until w is granted a slot, at most for limit.
func (p *Pool) wait(ctx context.Context, w *waiter, limit time.Duration) (slot, error) {
	w.timer.Reset(limit)
	var g grant
	var gaveUp error
	select {
	case g = <-w.granted:
	case <-w.timer.C:
		gaveUp = fmt.Errorf("%w: no free worker within %v", ErrOverloaded, limit)
	case <-ctx.Done():
		gaveUp = contextError(ctx)
	}
	w.timer.Stop()

	p.mu.Lock()
	late := gaveUp != nil && w.list == nil // granted in this very moment
	if gaveUp != nil && !late {
		p.queue.remove(w, p.shareLocked())
		g.err = gaveUp
	}
	if late {
		g = <-w.granted // never blocks: it was sent under the lock
	}
	p.stats.Waited++
	p.stats.WaitSum += time.Since(w.since)
	if reason(gaveUp) == "overloaded" {
		p.stats.Overloads++
	}
	w.owner = nil
	if len(p.spare) < mostSpares {
		p.spare = append(p.spare, w)
	}
	p.mu.Unlock()

	if late && g.err == nil {
		p.giveBack(g.slot)
		g.err = gaveUp
	}
	return g.slot, g.err
}

// shareLocked is how many slots one owner may hold while others wait.
func (p *Pool) shareLocked() int {
	return max(1, int(p.cfg.Share*float64(p.limit.now)))
}

// release ends the holding of a slot. Its connection is kept for others when keep
// says so and there is a use for it, and closed otherwise.
func (p *Pool) release(s slot, keep bool) {
	now := time.Now()
	p.mu.Lock()
	held := min(now.Sub(s.since), p.cfg.QueueWait) // more makes no difference to who waits, and lingers
	if s.stream {
		p.streams--
	} else {
		p.service += (held - p.service) / 16
	}
	p.limit.tick(now)
	drop := p.freeLocked(s, keep, now)
	p.mu.Unlock()
	p.drop(drop...)
	if s.freed != nil {
		close(s.freed)
	}
}

// giveBack returns a slot that was never used.
func (p *Pool) giveBack(s slot) {
	p.mu.Lock()
	drop := p.freeLocked(s, true, time.Now())
	p.mu.Unlock()
	p.drop(drop...)
}

// freeLocked frees the slot and returns connections to be closed, after the lock.
func (p *Pool) freeLocked(s slot, keep bool, now time.Time) (drop []*conn) {
	p.open--
	p.queue.finished(s.owner, p.shareLocked())
	if c := s.conn; c != nil {
		if keep && p.cfg.reuses() && c.epoch == p.epoch && !p.closed {
			c.idleSince = now
			p.idle = append(p.idle, c)
		} else {
			drop = append(drop, c)
		}
	}
	drop = p.settleIdleLocked(drop)
	if p.open == 0 && p.freed != nil {
		close(p.freed)
		p.freed = nil
	}
	return drop
}

// settleIdleLocked restores what holds whenever the lock is free: nobody waits
// while a slot is free, no more workers are occupied than the limit allows, idle
// connections make way for those in the server's backlog, and no more are idle
// than MaxIdle. Connections in excess are appended to drop.
func (p *Pool) settleIdleLocked(drop []*conn) []*conn {
	drop = p.makeWayLocked(drop)
	drop = p.trimIdleLocked(max(0, p.limit.now-p.open), drop)
	for p.open < p.limit.now {
		w := p.queue.next(p.shareLocked())
		if w == nil {
			break
		}
		w.granted <- grant{slot: p.takeLocked(w.owner, time.Now())} // has room for one
	}
	drop = p.trimIdleLocked(p.cfg.MaxIdle, drop)
	p.sweepLocked()
	return drop
}

// trimIdleLocked moves the oldest idle connections to drop until n are left.
func (p *Pool) trimIdleLocked(n int, drop []*conn) []*conn {
	excess := len(p.idle) - n
	if excess <= 0 {
		return drop
	}
	drop = append(drop, p.idle[:excess]...)
	kept := copy(p.idle, p.idle[excess:])
	clear(p.idle[kept:])
	p.idle = p.idle[:kept]
	return drop
}

// drop closes connections, and waits for what still writes to them.
func (p *Pool) drop(cs ...*conn) {
	if len(cs) == 0 {
		return
	}
	p.mu.Lock()
	for _, c := range cs { // before their workers are free for others: see found
		if _, open := p.conns[c]; open && c.accepted {
			c.held.now.Add(-1)
		}
		delete(p.conns, c)
		if c.missed != nil && c.epoch == p.epoch {
			p.unmissLocked(1)
		}
		c.missed = nil
	}
	p.mu.Unlock()
	for _, c := range cs {
		c.nc.Close()
		c.written()
		if c.asked {
			p.learn(c)
		}
	}
}

// startedStream notes that a slot will be held for an unknown time.
func (p *Pool) startedStream() {
	p.mu.Lock()
	p.streams++
	p.mu.Unlock()
}
