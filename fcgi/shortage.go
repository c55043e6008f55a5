package fcgi

import (
	"sync/atomic"
	"time"
)

const (
	// lookEvery is the sampling interval while connections are missed. A window is
	// that many samples: 1.2 s, longer than PHP-FPM takes to start another worker with
	// pm = dynamic, which it considers once a second.
	lookEvery  = 100 * time.Millisecond
	windowSize = 12
)

// shortage estimates, over a window of samples, whether PHP-FPM has fewer workers than
// the pool's limit. A new connection that is still in PHP-FPM's backlog after
// stallAfter is missed. That alone is no proof: the worker may be late for lack of CPU
// time. But a late worker does accept the connection, and holds it from then on. So the
// number of workers is the largest number of connections held at once, if
//
//   - connections were missed in every interval of the window,
//   - more slots than that were taken at every sample,
//   - the number did not grow, since growth restarts the window, and
//   - those workers were busy: on average three in four of them held connections at the
//     samples. With a connection for every event, late workers seldom hold connections
//     at the same time.
//
// If no worker held a connection, PHP-FPM is stopped or serves other clients only, and
// nothing is known about the number of workers. Time is counted in samples, so that a
// pause of the gateway does not count as a wait.
//
// Other signals are weaker. The gateway's own timers are not late if PHP-FPM is slow on
// another machine. A probe's reply takes as long from a late worker as from one that
// ran another script first. The status page needs a listener of its own, and counts
// idle connections of other clients as active.
type shortage struct {
	missed bool // since the last sample
	most   int  // maximum of connections held at once in this window
	looks  int  // samples of this window
	busy   int  // sum of connections held at these samples
}

// look adds a sample: held is the number of connections that workers hold, most its
// maximum since the last sample, and open the number of slots taken. It returns the
// number of workers at the end of a conclusive window, and 0 otherwise.
func (s *shortage) look(held, most, open int) (workers int) {
	if most > s.most {
		*s = shortage{missed: s.missed, most: most}
	}
	if !s.missed || open <= s.most {
		*s = shortage{}
		return 0
	}
	s.busy += held
	if s.looks++; s.looks < windowSize {
		return 0
	}
	if 4*s.busy >= 3*windowSize*s.most {
		workers = s.most
	}
	*s = shortage{}
	return workers
}

// holding counts the connections held by a worker, idle or not.
type holding struct {
	now  atomic.Int64
	most atomic.Int64 // maximum since the last sample
}

// add counts one connection.
func (h *holding) add() {
	n := h.now.Add(1)
	for most := h.most.Load(); n > most && !h.most.CompareAndSwap(most, n); {
		most = h.most.Load()
	}
}

// look returns both numbers and resets the maximum.
func (h *holding) look() (now, most int) {
	n := h.now.Load()
	return int(n), int(max(n, h.most.Swap(n)))
}

// stalled records a new connection that no worker accepted in time.
func (p *Pool) stalled(r *Response) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := r.slot.conn; c.epoch == p.epoch { // not of the old address
		p.stalledLocked(c)
	}
}

func (p *Pool) stalledLocked(c *conn) {
	p.stats.Stalls++
	p.missing++
	p.shortage.missed = true
	c.missed = func() { p.found(c) }
	if !p.looking {
		p.looking = true
		p.running.Go(p.watch)
	}
}

// found records that a worker accepted a stalled connection. Together with the
// connections held at this moment it gives a lower bound of the number of workers.
func (p *Pool) found(c *conn) {
	p.mu.Lock()
	var drop []*conn
	if c.epoch == p.epoch {
		p.unmissLocked(1)
		if p.limit.seen(int(c.held.now.Load()), time.Now()) {
			drop = p.settleIdleLocked(drop)
		}
	}
	p.mu.Unlock()
	p.drop(drop...)
}

// unmissLocked subtracts n missed connections.
func (p *Pool) unmissLocked(n int) {
	p.missing -= n
	p.owed = min(p.owed, p.missing)
}

// makeWayLocked moves idle connections to drop, oldest first, one for each that is owed
// to the backlog.
func (p *Pool) makeWayLocked(drop []*conn) []*conn {
	n := min(p.owed, len(p.idle))
	p.owed -= n
	return p.trimIdleLocked(len(p.idle)-n, drop)
}

// watch samples the pool while connections are missed.
func (p *Pool) watch() {
	p.repeat(func() time.Duration { return lookEvery }, p.look)
}

// look takes a sample, lowers the limit after a conclusive window, and schedules one
// connection to be closed for each missed one, as soon as its request has ended:
// otherwise a connection in the backlog could wait for one that holds a worker for as
// long as there is load. At most that many are closed between two samples, since each
// costs a new connection, which may be missed in turn. It reports whether to continue:
// not if none was missed since the sample before.
func (p *Pool) look() (again bool) {
	p.mu.Lock()
	again = p.shortage.missed
	p.looking = again
	held, most := p.held.look()
	workers := p.shortage.look(held, most, p.open)
	p.shortage.missed = p.missing > 0
	if p.limit.lower(workers, time.Now()) {
		p.sendLocked(Event{Kind: EventStalled, Limit: p.limit.now, Config: p.cfg.MaxConnections})
	}
	p.owed = p.missing
	drop := p.settleIdleLocked(nil)
	p.mu.Unlock()
	p.drop(drop...)
	return again
}
