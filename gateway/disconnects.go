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
)

// disconnects is the queue of one upstream's disconnect events, first in, first
// out. As many goroutines as wsfpm may use workers serve it, and none while no
// pool of it takes any: then a timer brings the next try. An event that could not
// be sent keeps its place. The zero value has no room.
type disconnects struct {
	mu      sync.Mutex    // guards what follows
	again   []*disconnect // that could not be sent
	waiting []*disconnect // oldest first, and all younger than those in again
	most    int           // how many may wait or be served
	workers int           // how many may serve
	working int           // how many do, each with one event
	pause   time.Duration // the last one; 0 since something was sent
	timer   *time.Timer   // nil: no pause
	refusal error         // why the last try could not be sent; nil since something was
	closed  bool          // nothing waits any more
}

// disconnect is the disconnect event of a connection that has ended. The
// connection is kept until the event is over.
type disconnect struct {
	c     *connection
	event event
	since time.Time // when the connection ended
	err   error     // of the last try; nil before the first
}

const (
	// mostDisconnects is how many disconnect events of an upstream may wait where
	// limits.connections is no limit.
	mostDisconnects = 100_000

	firstPause = 100 * time.Millisecond // between two tries
	lastPause  = 5 * time.Second
)

// Why a disconnect event is given up that was not tried, or not once more.
const (
	pushedOut = "more disconnect events wait than limits.connections"
	tooLate   = "its time was over before its turn came"
)

var errCut = fmt.Errorf("%w: the process ends", fcgi.ErrClosed)

// depart runs the disconnect event, if PHP wants it, and then leaves.
func (c *connection) depart(end cause) {
	if !c.rt.asks[kindDisconnect] {
		c.g.leave(c)
		return
	}
	c.events++
	c.route().upstream.disconnects.push(&disconnect{c: c, event: event{kind: kindDisconnect, close: end}, since: time.Now()})
}

// push adds an event. If too few serve the queue, the caller's goroutine does.
// One more than may wait pushes the oldest out.
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

// serve runs one event after another until none waits, or none can be sent.
func (q *disconnects) serve() {
	for f := q.next(); f != nil; f = q.next() {
		if f.overdue() {
			f.over(q.untried(tooLate))
			continue
		}
		f.err = f.try()
		if !unsent(f.err) {
			q.went()
		} else if q.putBack(f) {
			continue
		}
		f.over(f.err)
	}
}

// next is the oldest event, or nil: then the caller serves no longer.
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

// putBack gives an event that could not be sent its place back, and has all
// wait a while. It reports false when there is no time left.
func (q *disconnects) putBack(f *disconnect) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	var refused *fcgi.Error
	if errors.As(f.err, &refused) {
		q.refusal = refused.Err // without the names of this event
	}
	if q.closed || f.overdue() {
		return false
	}
	q.again = append(q.again, f)
	if q.timer == nil {
		q.pause = min(max(2*q.pause, firstPause), lastPause)
		if errors.Is(f.err, fcgi.ErrOverloaded) { // PHP-FPM is there
			q.pause = firstPause
		}
		q.timer = time.AfterFunc(q.pause/2+rand.N(q.pause), q.resume)
	}
	return true
}

// resume ends a pause.
func (q *disconnects) resume() {
	q.mu.Lock()
	q.timer = nil
	serve := q.enlistLocked()
	q.mu.Unlock()
	if serve {
		q.serve()
	}
}

// went notes that an event was sent, and so that others may go too.
func (q *disconnects) went() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pause, q.refusal = 0, nil
	if q.enlistLocked() {
		go q.serve() // ends with the last event, for which the drain waits
	}
}

// enlistLocked reports whether one more is to serve the queue, and counts it.
func (q *disconnects) enlistLocked() bool {
	if q.timer != nil || q.working >= q.workers || len(q.again)+len(q.waiting) == 0 {
		return false
	}
	q.working++
	return true
}

// popLocked takes the oldest event; nil when none waits.
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

// resize sets how many events may wait, 0 being the default, and how many may
// run at once.
func (q *disconnects) resize(most, workers int) {
	if most <= 0 {
		most = mostDisconnects
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.most, q.workers = most, workers
}

// len is how many events wait or run.
func (q *disconnects) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lenLocked()
}

func (q *disconnects) lenLocked() int { return len(q.again) + len(q.waiting) + q.working }

// prune gives up the events whose time is over while nothing can be sent.
func (q *disconnects) prune() {
	q.mu.Lock()
	paused := q.timer != nil
	q.mu.Unlock()
	if paused {
		q.remove((*disconnect).outlived, q.untried(tooLate))
	}
}

// untried is why an event is given up that was never tried: what kept the one
// before it from being sent or, when those were sent, that they took so long.
func (q *disconnects) untried(how string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.untriedLocked(how)
}

func (q *disconnects) untriedLocked(how string) error {
	return fmt.Errorf("%w: %s", cmp.Or(q.refusal, fcgi.ErrOverloaded), how)
}

// cut gives up all events, those too that come later.
func (q *disconnects) cut() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.remove(func(*disconnect) bool { return true }, errCut)
}

// remove gives up events that wait.
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
	defer func() {
		if v := recover(); v != nil {
			c.g.survived("disconnect", v)
			err = failed("a bug")
		}
	}()
	f.event.route = c.route() // a reload may have put other pools into it
	a, err := c.call(context.Background(), f.event)
	if err == nil {
		c.publish(context.Background(), a.Others)
		c.g.stats.event(kindDisconnect, nil, a.took)
	}
	return err
}

// outlived reports whether disconnect_retry is over.
func (f *disconnect) outlived() bool {
	return time.Since(f.since) > time.Duration(f.c.g.settings.Load().DisconnectRetry)
}

// overdue reports whether there is no time left for a try. The first may come as
// late as any event that waits for a worker.
func (f *disconnect) overdue() bool {
	return f.outlived() && (f.err != nil || time.Since(f.since) > f.c.route().upstream.wait)
}

// over is the end of the event, and of its connection; why is nil when it ran.
// One of which PHP never heard is counted.
func (f *disconnect) over(why error) {
	c := f.c
	if f.err != nil {
		why = f.err // says more
	}
	if why != nil {
		c.logFailure(kindDisconnect, why)
		if f.err == nil || unsent(f.err) {
			c.g.stats.disconnectsLost.Add(1)
		}
	}
	c.g.leave(c)
}
