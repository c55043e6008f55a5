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
// It never occupies more than Config.MaxConnections workers, including those that
// still run a script whose caller has left. A request takes the newest idle
// connection, opens one, or waits in the pool's own queue: a request in PHP-FPM's
// backlog would run even after its caller has left.
type Pool struct {
	events  chan Event
	ctx     context.Context // ended by Close
	end     context.CancelFunc
	running sync.WaitGroup // sweep, watch, trial and settling goroutines
	netDial func(context.Context, *Config) (net.Conn, error)

	mu       sync.Mutex // guards what follows
	cfg      *Config    // replaced whole, never changed
	epoch    int        // of the address: connections of an earlier one are not kept
	closed   bool
	cutOff   bool // Close has timed out
	limit    workingLimit
	open     int // slots taken: connecting, running, settling
	settling int // of these, without a caller
	streams  int // of these, with an answer of unknown length
	missing  int // of these, on connections that no worker has accepted in time
	owed     int // connections to close in exchange, between requests
	shortage shortage
	looking  bool
	held     *holding // by workers, of this epoch
	idle     []*conn  // newest last
	conns    map[*conn]struct{}
	queue    queue
	spare    []*waiter
	service  time.Duration // moving average of a slot's time, starting at 0
	done     throughput    // requests that held a slot
	probing  probing
	circuit  circuit
	trying   bool   // tryAgain is running
	trial    int    // slots that it has taken, 0 or 1
	endTrial func() // ends the trial under way; nil: none is
	retired  bool
	sweeping bool
	freed    chan struct{} // closed when open falls to 0 after Close; nil before
	stats    Stats         // the counters only
	failures map[Failure]uint64
}

// slot is a permit of the pool's counting semaphore: the right to occupy one worker. It
// is held by a request, or by the goroutine that waits for the worker afterwards.
type slot struct {
	cfg    *Config
	epoch  int // Pool.epoch of cfg
	owner  *owner
	since  time.Time
	conn   *conn // nil until connected
	stream bool
	freed  chan struct{} // closed when the slot is free; nil if not requested
}

// NewPool returns a pool for the server that cfg describes. It does not connect before
// the first request.
func NewPool(cfg Config) (*Pool, error) {
	full, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.Background())
	return &Pool{
		cfg:      full,
		limit:    newWorkingLimit(full.MaxConnections),
		events:   make(chan Event, maxEvents),
		ctx:      ctx,
		end:      end,
		netDial:  netDial,
		conns:    make(map[*conn]struct{}),
		held:     new(holding),
		queue:    queue{owners: make(map[string]*owner)},
		failures: make(map[Failure]uint64),
	}, nil
}

// acquire waits for a slot. It also returns the deadline for connecting, which is that
// of waiting in the queue.
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
	if len(p.idle) == 0 && p.circuit.down {
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
	if err := p.refuseLocked(r.Lane, o, now); err != nil {
		p.queue.forget(o)
		p.mu.Unlock()
		return slot{}, until, err
	}
	w := p.waiterLocked()
	w.lane, w.owner, w.since = r.Lane, o, now
	p.queue.push(w, p.shareLocked())
	p.sweepLocked()
	wait := max(p.cfg.QueueWait-r.Waited, 0)
	p.mu.Unlock()

	s, err := p.wait(ctx, w, wait)
	return s, until, err
}

// takeLocked grants a free slot, with the newest idle connection if there is one. The
// owner has been charged for it.
func (p *Pool) takeLocked(o *owner, now time.Time) slot {
	p.open++
	s := slot{cfg: p.cfg, epoch: p.epoch, owner: o, since: now}
	s.conn = p.popIdleLocked()
	return s
}

// popIdleLocked removes the newest idle connection, so that unneeded ones expire.
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

// refuseLocked is the load shedding: it returns an error if the lane is full, or if the
// requests ahead are expected to take longer than QueueWait. The head of the queue is
// never shed by the second rule, so at least one request keeps updating the moving
// average. The shorter of the times by that average and by the pace of late counts.
// Streams, which may take minutes, count neither as service time nor as slots.
func (p *Pool) refuseLocked(lane Lane, o *owner, now time.Time) error {
	if p.queue.waiting[lane] >= p.cfg.QueueLen {
		p.stats.Overloads++
		return fmt.Errorf("%w: %d requests are waiting", ErrOverloaded, p.queue.waiting[lane])
	}
	ahead := p.queue.ahead(lane, o)
	slots := max(1, p.limit.now-p.streams)
	expected := min(p.service*time.Duration(ahead)/time.Duration(slots), p.done.takes(ahead, now, p.cfg.QueueWait))
	if expected > p.cfg.QueueWait {
		p.stats.Overloads++
		return fmt.Errorf("%w: %d requests are waiting, expected wait %v",
			ErrOverloaded, ahead, expected.Round(time.Millisecond))
	}
	return nil
}

// mostSpares bounds the waiters and owners kept for reuse. With timer and channel each
// takes half a kilobyte, and a burst may need as many as there are clients.
const mostSpares = 256

// waiterLocked returns a waiter, reused if possible.
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

// wait waits until w is granted a slot, for limit at most.
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
	late := gaveUp != nil && w.list == nil // granted concurrently
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

// shareLocked returns the number of slots that one owner may hold while others wait.
func (p *Pool) shareLocked() int {
	return max(1, int(p.cfg.Share*float64(p.limit.now)))
}

// release frees a slot. Its connection is kept if keep is set and there is use for it,
// and closed otherwise.
func (p *Pool) release(s slot, keep bool) {
	now := time.Now()
	p.mu.Lock()
	held := min(now.Sub(s.since), p.cfg.QueueWait) // more would not change a decision, but distort the average for long
	if s.stream {
		p.streams--
	} else {
		p.service += (held - p.service) / 16
		p.done.ended(now, p.cfg.QueueWait)
	}
	p.limit.tick(now)
	drop := p.freeLocked(s, keep, now)
	p.mu.Unlock()
	p.drop(drop...)
	if s.freed != nil {
		close(s.freed)
	}
}

// giveBack returns an unused slot.
func (p *Pool) giveBack(s slot) {
	p.mu.Lock()
	drop := p.freeLocked(s, true, time.Now())
	p.mu.Unlock()
	p.drop(drop...)
}

// freeLocked frees the slot and returns connections to close without the lock.
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

// settleIdleLocked restores the invariants of the pool: no request waits while a slot
// is free, no more workers are occupied than the limit allows, idle connections make
// way for those in the server's backlog, and at most MaxIdle are idle. Excess
// connections are appended to drop.
func (p *Pool) settleIdleLocked(drop []*conn) []*conn {
	drop = p.makeWayLocked(drop)
	drop = p.trimIdleLocked(max(0, p.limit.now-p.open), drop)
	for p.open < p.limit.now {
		w := p.queue.next(p.shareLocked())
		if w == nil {
			break
		}
		w.granted <- grant{slot: p.takeLocked(w.owner, time.Now())} // capacity 1
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

// drop closes connections and waits for their writing goroutines.
func (p *Pool) drop(cs ...*conn) {
	if len(cs) == 0 {
		return
	}
	p.mu.Lock()
	for _, c := range cs { // before their workers become free: see found
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

// startedStream records that a slot will be held for an unknown time.
func (p *Pool) startedStream() {
	p.mu.Lock()
	p.streams++
	p.mu.Unlock()
}
