package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"wsfpm/fcgi"
	"wsfpm/gateway/answer"
	"wsfpm/gateway/registry"
)

// disconnects is the FIFO queue of one upstream's disconnect events. Up to as many
// goroutines as wsfpm may use workers serve it. While no pool accepts events, none does,
// and a timer starts the next try (exponential backoff). An event that could not be sent
// keeps its place. The zero value has no room.
type disconnects struct {
	mu      sync.Mutex    // guards what follows
	again   []*disconnect // could not be sent; older than waiting
	waiting []*disconnect // oldest first
	most    int           // maximum of queued and running events
	workers int           // maximum of goroutines
	working int           // goroutines, each with one event
	pause   time.Duration // the last backoff; 0 after a success
	timer   *time.Timer   // ends the backoff; nil: none
	refusal error         // why the last try was not sent; nil after a success
	closed  bool          // no event is queued any more
}

// disconnect is the disconnect event of a connection that has ended. It keeps the
// connection registered until it is over.
type disconnect struct {
	c     *connection
	event event
	since time.Time // when the connection ended
	tries int       // so far
	err   error     // of the last one; nil before the first

	lost     *registry.Lost     // the connection is a dead node's; nil: it is our own
	decision *registry.Decision // who runs it; nil: not asked yet
}

const (
	// mostDisconnects is the maximum of an upstream's queued disconnect events when
	// limits.connections is unlimited.
	mostDisconnects = 100_000

	firstPause = 100 * time.Millisecond // between two tries
	lastPause  = 5 * time.Second
)

// Why a disconnect event is dropped from the queue.
const (
	pushedOut = "the queue of disconnect events is full (limits.connections)"
	tooLate   = "it expired in the queue"
)

// depart queues the disconnect event, if PHP wants it; otherwise the connection leaves.
func (c *connection) depart(end cause) {
	if !c.rt.asks[kindDisconnect] {
		c.unregister()
		c.g.leave(c)
		return
	}
	c.route().upstream.disconnects.push(&disconnect{c: c, event: event{kind: kindDisconnect, close: end}, since: time.Now()})
}

// push queues an event. If more goroutines may serve the queue, the caller's does. If the
// queue is full, its oldest event is dropped.
func (q *disconnects) push(f *disconnect) {
	q.mu.Lock()
	q.waiting = append(q.waiting, f)
	var out *disconnect
	var why error
	switch {
	case q.closed:
		out, why = q.popLocked(), errCut
	case q.lenLocked() > q.most:
		out, why = q.popLocked(), q.untriedLocked(pushedOut)
	}
	serve := q.enlistLocked()
	q.mu.Unlock()
	if out != nil {
		out.over(why)
	}
	if serve {
		q.serve()
	}
}

// serve runs events until the queue is empty or backs off.
func (q *disconnects) serve() {
	for f := q.next(); f != nil; f = q.next() {
		if f.overdue() {
			f.over(q.untried(tooLate))
			continue
		}
		f.tries++
		f.err = f.try()
		if !unsent(f.err) || errors.Is(f.err, errTakenOver) {
			q.went()
		} else if q.putBack(f) {
			continue
		}
		f.over(f.err)
	}
}

// next returns the oldest event, or nil: then the caller must stop serving.
func (q *disconnects) next() (f *disconnect) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.timer == nil {
		f = q.popLocked()
	}
	if f == nil {
		q.working--
	}
	return f
}

// putBack requeues an event that could not be sent, and starts the backoff. It returns
// false if the event's time is over.
func (q *disconnects) putBack(f *disconnect) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if refused, ok := errors.AsType[*fcgi.Error](f.err); ok {
		q.refusal = refused.Err // without the names of this event
	}
	if q.closed || f.overdue() {
		return false
	}
	q.again = append(q.again, f)
	if q.timer == nil {
		q.pause = min(max(2*q.pause, firstPause), lastPause)
		if errors.Is(f.err, fcgi.ErrOverloaded) { // PHP-FPM is reachable
			q.pause = firstPause
		}
		q.timer = time.AfterFunc(q.pause/2+rand.N(q.pause), q.resume)
	}
	return true
}

// resume ends the backoff.
func (q *disconnects) resume() {
	q.mu.Lock()
	q.timer = nil
	serve := q.enlistLocked()
	q.mu.Unlock()
	if serve {
		q.serve()
	}
}

// went resets the backoff after an event was sent, and starts another goroutine if needed.
func (q *disconnects) went() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pause, q.refusal = 0, nil
	if q.enlistLocked() {
		go q.serve() // ends with the last event, for which the drain waits
	}
}

// enlistLocked reports whether one more goroutine is to serve the queue, and counts it.
func (q *disconnects) enlistLocked() bool {
	if q.timer != nil || q.working >= q.workers || len(q.again)+len(q.waiting) == 0 {
		return false
	}
	q.working++
	return true
}

// popLocked removes and returns the oldest event; nil if there is none.
func (q *disconnects) popLocked() (f *disconnect) {
	from := &q.again
	if len(*from) == 0 {
		from = &q.waiting
	}
	if len(*from) == 0 {
		return nil
	}
	f, (*from)[0] = (*from)[0], nil
	if *from = (*from)[1:]; len(*from) == 0 {
		*from = nil // gives its memory back
	}
	return f
}

// resize sets the maximum of events, 0 being the default, and of goroutines.
func (q *disconnects) resize(most, workers int) {
	if most <= 0 {
		most = mostDisconnects
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.most, q.workers = most, workers
}

// len returns the number of queued and running events.
func (q *disconnects) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lenLocked()
}

func (q *disconnects) lenLocked() int { return len(q.again) + len(q.waiting) + q.working }

// prune drops expired events during a backoff.
func (q *disconnects) prune() {
	q.mu.Lock()
	paused := q.timer != nil
	q.mu.Unlock()
	if paused {
		q.remove((*disconnect).outlived, q.untried(tooLate))
	}
}

// untried returns the error of an event that is dropped without a try: why the last try was
// not sent or, if it was sent, that the queue is too slow.
func (q *disconnects) untried(how string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.untriedLocked(how)
}

func (q *disconnects) untriedLocked(how string) error {
	return fmt.Errorf("%w: %s", cmp.Or(q.refusal, fcgi.ErrOverloaded), how)
}

// cut drops all events, and those pushed later.
func (q *disconnects) cut() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.remove(func(*disconnect) bool { return true }, errCut)
}

// remove drops queued events.
func (q *disconnects) remove(which func(*disconnect) bool, why error) {
	q.mu.Lock()
	var kept, out []*disconnect
	for f := q.popLocked(); f != nil; f = q.popLocked() {
		if which(f) {
			out = append(out, f)
		} else {
			kept = append(kept, f)
		}
	}
	q.waiting = kept
	q.mu.Unlock()
	for _, f := range out {
		f.over(why)
	}
}

// try runs the event once.
func (f *disconnect) try() (err error) {
	c := f.c
	defer c.g.recovered("disconnect", func() { err = failed("a bug") })
	f.event.route, f.event.end = c.route(), f // a reload may have changed its pools
	a, err := c.call(context.Background(), f.event)
	if err == nil {
		err = c.sendLast(&a.Reply)
		c.concluded(&f.event, &a, err)
	}
	return err
}

// sendLast sends what the answer to disconnect has for others.
func (c *connection) sendLast(a *answer.Reply) error {
	ctx := context.Background()
	p, err := c.pushes(a)
	if err == nil {
		err = c.store(ctx, p.entries)
	}
	if err == nil {
		c.publish(ctx, p.rest)
	}
	return err
}

// outlived reports whether disconnect_retry is over. A single try proves nothing: it may
// have failed because this machine stood still, for as long as disconnect_retry.
func (f *disconnect) outlived() bool {
	return f.tries != 1 && time.Since(f.since) > time.Duration(f.c.g.settings.Load().DisconnectRetry)
}

// overdue reports whether there is no time left for a try. The first try may be as late as
// that of any event that waits for a worker.
func (f *disconnect) overdue() bool {
	return f.outlived() && (f.tries > 0 || time.Since(f.since) > f.c.route().upstream.wait)
}

// over ends the event and its connection; why is nil if the event ran. An event that PHP
// never received is counted.
func (f *disconnect) over(why error) {
	c := f.c
	defer c.g.leave(c)
	defer c.g.recovered("disconnect", nil)
	f.settle(why)
	if f.err != nil {
		why = f.err // more specific
	}
	if why != nil && !errors.Is(why, errTakenOver) {
		c.logFailure(kindDisconnect, why)
		if f.err == nil || unsent(f.err) {
			c.g.stats.disconnectsLost.Add(1)
			f.event.route = c.route()
			c.g.show(func() Event { return c.seen(&f.event, &reply{began: f.since, took: time.Since(f.since)}, why) })
		}
	}
}
