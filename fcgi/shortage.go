package fcgi

import (
	"sync/atomic"
	"time"
)

const (
	// lookEvery is how often the pool looks at its connections while workers are
	// missed, and a window is that many looks: 1.2 s, longer than PHP-FPM takes to
	// start one more worker with pm = dynamic, which it considers once a second.
	lookEvery  = 100 * time.Millisecond
	windowSize = 12
)

// shortage finds out, over a window of looks, that PHP-FPM has fewer workers than
// the pool works with. A new connection that is still in PHP-FPM's backlog after
// stallAfter is missed. That alone proves nothing: the worker may be late for want
// of CPU time. But a late worker comes, and holds the connection from then on. So
// there are only as many workers as ever held connections at once if
//
//   - connections were missed in every interval of the window,
//   - more slots than that were taken at every look,
//   - the number did not grow, for growth begins another window, and
//   - those workers were busy: at the looks, three in four of them held connections
//     on average. With a connection for every event, workers that come late are
//     seldom held at the same time.
//
// When no worker held a connection, PHP-FPM is stopped or others have all of it,
// and how many workers there are is not known. The time is counted in looks: a
// gateway that was paused does not take the pause for a wait.
//
// Other signals say less. The gateway's own timers are not late when only PHP-FPM
// is, on another machine. READY takes as long from a worker that is late as from
// one that ran another script first. The status page needs a listener of its own,
// and counts the idle connections of others as active.
type shortage struct {
	missed bool // since the last look
	most   int  // connections that workers held at once in this window, at most
	looks  int  // of this window
	busy   int  // connections that workers held at these looks, all added up
}

// look takes a look: held connections are held by workers, most were at once since
// the last look, and open slots are taken. It returns how many workers there are
// when a window has proved it, and 0 otherwise.
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

// holding counts connections that are held by a worker, idle or not.
type holding struct {
	now  atomic.Int64
	most atomic.Int64 // since the last look
}

// add counts one more.
func (h *holding) add() {
	n := h.now.Add(1)
	for most := h.most.Load(); n > most && !h.most.CompareAndSwap(most, n); {
		most = h.most.Load()
	}
}

// look returns both numbers and begins to look for the most anew.
func (h *holding) look() (now, most int) {
	n := h.now.Load()
	return int(n), int(max(n, h.most.Swap(n)))
}

// stalled takes note of a new connection that no worker came for in time.
func (p *Pool) stalled(r *Response) {
	c := r.slot.conn
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.epoch != p.epoch { // says nothing about the server at the new address
		return
	}
	p.stats.Stalls++
	p.missing++
	p.shortage.missed = true
	c.missed = func() { p.found(c) }
	if !p.looking {
		p.looking = true
		p.running.Go(p.watch)
	}
}

// found takes note of the worker that came for a stalled connection. With those
// that our other connections hold at this moment it proves how many there are.
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

// unmissLocked takes n connections off those that are missed.
func (p *Pool) unmissLocked(n int) {
	p.missing -= n
	p.owed = min(p.owed, p.missing)
}

// makeWayLocked moves idle connections to drop, the oldest first, one for each that
// is owed to those in the backlog.
func (p *Pool) makeWayLocked(drop []*conn) []*conn {
	n := min(p.owed, len(p.idle))
	p.owed -= n
	return p.trimIdleLocked(len(p.idle)-n, drop)
}

// watch looks at the pool as long as connections are missed.
func (p *Pool) watch() {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-p.closing:
			return
		}
		timer.Reset(lookEvery)
		if !p.look() {
			return
		}
	}
}

// look makes the limit what a window has proved, and has one connection make way for
// each that is missed, as soon as its request has ended: one in the backlog and one
// that holds a worker could otherwise wait for each other, for as long as there is
// load. No more make way between two looks. Each costs a new connection, which may
// be missed in turn. It reports whether to look again: not when none was missed
// since the look before.
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
