package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"wsfpm/fcgi"
	"wsfpm/gateway/config"
)

// upstream is what runs a route's events: its PHP-FPM pools in the order in which
// an event tries them, the first and then its spares. It is immutable.
type upstream struct {
	pools       []*pool
	waits       []time.Duration // queue_wait of each
	wait        time.Duration   // for a worker at most: the sum of queue_wait
	workers     int             // the largest max_connections
	disconnects *disconnects    // the disconnect events of the routes with these pools
}

// pool is a PHP-FPM pool with a semaphore for the streams in it.
type pool struct {
	*fcgi.Pool
	name     string
	log      *zap.Logger
	streams  semaphore
	queues   map[string]*disconnects // of the upstreams that it is first in, by their names
	gone     chan struct{}           // closed when it was let go
	expected atomic.Int64            // events that may come to it as their spare
	passed   passed
}

// newUpstream puts pools into the order of their names. A new queue for disconnect
// events has no room yet.
func newUpstream(cfg *config.Config, names []string, pools map[string]*pool) (*upstream, error) {
	u := new(upstream)
	for _, name := range names {
		f := cfg.FPM[name]
		if f == nil {
			return nil, fmt.Errorf("no PHP-FPM pool is named %q", name)
		}
		u.pools = append(u.pools, pools[name])
		u.waits = append(u.waits, time.Duration(f.QueueWait))
		u.wait += time.Duration(f.QueueWait)
		u.workers = max(u.workers, f.MaxConnections)
	}
	queues, key := u.pools[0].queues, strings.Join(names, " ")
	if queues[key] == nil {
		queues[key] = new(disconnects)
	}
	u.disconnects = queues[key]
	return u, nil
}

// Do runs r on the first pool that takes it, and returns that pool with the
// answer. The next pool is tried only when nothing of r was sent, see goesOn, so
// that no script runs twice. When all pools failed so, the error is all of theirs. It changes
// r.Waited: the wait in one pool does not count in the next.
func (u *upstream) Do(ctx context.Context, r *fcgi.Request) (*fcgi.Response, *pool, error) {
	u.expect(1)
	defer u.expect(-1)
	var failed error
	for i, p := range u.pools {
		answer, err := p.Do(ctx, r)
		if err == nil {
			if p.passed.took() {
				p.log.Info("pool takes events again")
			}
			return answer, p, nil
		}
		if len(u.pools) == 1 || !goesOn(err) {
			return nil, nil, err
		}
		if failed == nil {
			failed = fmt.Errorf("pool %s: %w", p.name, err)
		} else {
			failed = fmt.Errorf("%w; pool %s: %w", failed, p.name, err)
		}
		r.Waited = max(r.Waited-u.waits[i], 0)
		if next := i + 1; next < len(u.pools) && p.passed.passedOn() {
			p.log.Warn("events go to a spare pool", zap.String("spare", u.pools[next].name), zap.Error(err))
		}
	}
	return nil, nil, failed
}

// expect counts events that may go on to the spares: none is let go meanwhile.
func (u *upstream) expect(events int64) {
	for _, p := range u.pools[1:] {
		p.expected.Add(events)
	}
}

// goesOn reports whether another pool may take an event that failed: nothing of
// it was sent, because its pool is unreachable, overloaded, or ended before a
// worker had come. An event whose time is over, whose client has left, or that no
// pool would take goes no further.
func goesOn(err error) bool {
	return unsent(err) &&
		(errors.Is(err, fcgi.ErrUnavailable) || errors.Is(err, fcgi.ErrOverloaded) || errors.Is(err, fcgi.ErrTruncated))
}

// unsent reports that an event failed before anything of it reached PHP.
func unsent(err error) bool {
	var e *fcgi.Error
	return errors.As(err, &e) && e.Sent == fcgi.SentNo
}

// isGone reports whether one of the pools was let go.
func (u *upstream) isGone() bool {
	return slices.ContainsFunc(u.pools, func(p *pool) bool {
		select {
		case <-p.gone:
			return true
		default:
			return false
		}
	})
}

// passed counts the events that a pool did not take and that went on to the next
// pool. It is safe for concurrent use.
type passed struct {
	events atomic.Int64
	last   atomic.Pointer[time.Time] // the time of the last one; nil: events are taken
}

// passedQuiet is how long no event may have been passed on before the pool
// counts as back: it bounds what a pool at its limits writes to the log.
const passedQuiet = 5 * time.Second

// passedOn counts an event. It reports true for the first since the pool took events.
func (p *passed) passedOn() (first bool) {
	p.events.Add(1)
	now := time.Now()
	return p.last.Swap(&now) == nil
}

// took notes that the pool took an event. It reports true for the first one when
// none was passed on for passedQuiet.
func (p *passed) took() (back bool) {
	last := p.last.Load()
	return last != nil && time.Since(*last) > passedQuiet && p.last.CompareAndSwap(last, nil)
}
