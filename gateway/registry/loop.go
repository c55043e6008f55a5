package registry

import (
	"context"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

const (
	beatRest   = 100 * time.Millisecond // after a beat: errors that stay ask for one after the other
	bite       = 100                    // records in one pipeline or part of a scan
	changeTime = time.Second            // until a change is written that does not concern presence
	callTime   = 3 * time.Second        // for one pipeline of the loops
)

// beatLoop beats until Close: when a beat is due or asked for.
func (r *Registry) beatLoop() {
	for {
		r.beat()
		due := r.lease.due - rand.N(beatTime/10)
		if !r.rest(beatRest, nil) || !r.rest(due-r.now(), r.beatNow) {
			return
		}
	}
}

// rest waits for d, or until it is woken. It returns false when the registry ends.
func (r *Registry) rest(d time.Duration, woken <-chan struct{}) bool {
	select {
	case <-time.After(d):
	case <-woken:
	case <-r.stop:
		return false
	}
	return true
}

// beat writes one beat and acts on what it says.
func (r *Registry) beat() {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	l := r.life.Load()
	a := r.eval(ctx, []Call{r.keys.beat(l.node, l.stamp, r.lease.beat(r.now()))})[0]
	if a.err != nil {
		r.lease.failed(r.now())
		r.ended(nil, nil)
		return
	}
	beats := a.beats()
	v := r.lease.answered(r.now(), a.code, a.text, beats)
	r.counts.beats.Add(1)
	r.counts.lastBeat.Store(time.Now().UnixMilli())
	back := !r.up.Swap(true) // before the clients are sent away: their ends are to be asked for
	if v.claimed {
		r.claimed(l)
		r.ended(nil, nil)
		return
	}
	if back || r.counts.beats.Load() == 1 {
		r.checkPolicy(ctx)
	}
	if v.register {
		r.registerAll(l)
	}
	r.ended(v.dead, beats)
}

// ended publishes the result of a beat, and wakes those who wait for it.
func (r *Registry) ended(dead []death, beats map[string]string) {
	alive := make(map[string]bool, len(beats))
	for name := range beats {
		alive[name] = true
	}
	for _, d := range dead {
		delete(alive, d.node)
	}
	r.tried.Store(int64(r.lease.tried))
	parts := 0 // of the comparison
	r.mu.Lock()
	r.dead, r.alive = dead, alive
	if beats == nil {
		r.silence.failed()
	} else {
		r.silence.beat(r.now(), r.lease.seen)
		parts = 1 + len(r.entries)/(scanBeats*bite)
	}
	close(r.beaten)
	r.beaten = make(chan struct{})
	r.mu.Unlock()
	r.counts.nodes.Store(int64(len(alive)))
	r.reconcile.due.Store(int64(parts))
	signal(r.work)
}

// claimed begins a new life, because others have taken this node for dead.
func (r *Registry) claimed(old *life) {
	old.over.Store(true)
	r.counts.claimed.Add(1)
	r.begin()
	r.log.Error("other nodes took this one for dead and claimed its connections: its registered clients are sent away, and it goes on under a new name",
		zap.String("node", old.node), zap.String("now", r.Node()))
	r.cfg.Claimed()
	signal(r.beatNow)
}

// registerAll has all records written again: Redis has lost them.
func (r *Registry) registerAll(l *life) {
	r.mu.Lock()
	n := 0
	for _, e := range r.entries {
		if e.life == l {
			e.lost = true
			r.enqueueLocked(e)
			n++
		}
	}
	r.urgent = true
	r.mu.Unlock()
	if n > 0 {
		r.log.Warn("redis has lost this node's records: they are written again", zap.Int("connections", n))
	}
}

// Awake reports whether an event of a connection may begin. After a pause of the process
// that was about as long as the lease it waits for the next beat, to learn whether other
// nodes have run the connection's disconnect event meanwhile. If Redis does not answer that
// beat, events go on.
func (r *Registry) Awake(ctx context.Context, e *Entry) bool {
	for !isAwake(r.now(), time.Duration(r.tried.Load())) {
		r.mu.Lock()
		beaten := r.beaten
		r.mu.Unlock()
		signal(r.beatNow)
		if isAwake(r.now(), time.Duration(r.tried.Load())) {
			break // the beat was over before beaten was read
		}
		select {
		case <-beaten:
		case <-ctx.Done():
			return e.Valid()
		case <-r.stop:
			return e.Valid()
		}
	}
	return e.Valid()
}

// workLoop writes what has changed, until Close.
func (r *Registry) workLoop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	armed := false // for the oldest change that waits
	for {
		select {
		case <-r.work:
		case <-timer.C:
			armed = false
			r.setUrgent()
		case <-r.stop:
			return
		}
		for r.up.Load() && r.workOnce() {
			select {
			case <-r.stop:
				return
			default:
			}
		}
		if !armed && r.waiting() {
			armed = true
			timer.Reset(changeTime)
		}
	}
}

// setUrgent has everything that waits written now.
func (r *Registry) setUrgent() {
	r.mu.Lock()
	r.urgent = true
	r.mu.Unlock()
}

// waiting reports whether changes wait to be written.
func (r *Registry) waiting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue) > 0
}

// workOnce does one part of each kind of work, and reports whether there is more.
func (r *Registry) workOnce() (more bool) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	more = r.writeSome(ctx)
	more = r.forgetSome(ctx) || more
	more = r.claimSome(ctx) || more
	if r.up.Load() && r.reconcile.due.Load() > 0 {
		r.reconcile.due.Add(-1)
		r.reconcileSome(ctx)
		more = more || r.reconcile.due.Load() > 0
	}
	return more
}

// writeSome writes up to 100 changed records, if any of them is urgent or has waited for a
// second.
func (r *Registry) writeSome(ctx context.Context) (more bool) {
	r.mu.Lock()
	if !r.urgent {
		r.mu.Unlock()
		return false
	}
	part := r.queue[:min(len(r.queue), bite)]
	for _, e := range part {
		e.queued = false
	}
	if r.queue = r.queue[len(part):]; len(r.queue) == 0 {
		r.queue, r.urgent = nil, false
	}
	more = len(r.queue) > 0
	r.mu.Unlock()
	r.write(ctx, part)
	return more
}

// checkPolicy warns of a Redis that evicts keys.
func (r *Registry) checkPolicy(ctx context.Context) {
	policy, err := Policy(ctx, r.cfg.Store)
	bad := err == nil && policy != "" && policy != NoEviction
	r.counts.evicts.Store(bad)
	if bad {
		r.log.Error("redis may evict the registry's keys: counts of presence would stay wrong", zap.String("maxmemory_policy", policy), zap.String("hint", PolicyHint))
	}
}

// NoEviction is the maxmemory-policy that the registry needs.
const NoEviction = "noeviction"

// PolicyHint says what to do about another policy.
const PolicyHint = "set maxmemory-policy noeviction, or give wsfpm a Redis of its own"

// Close ends the loops, removes what is to be forgotten and, if no record is left, the
// node. Records that are left are claimed by other nodes. It waits until ctx ends.
func (r *Registry) Close(ctx context.Context) {
	close(r.stop)
	r.loops.Wait()
	for r.forgetSome(ctx) { // Redis may be back although no beat has shown it yet
	}
	r.eval(ctx, []Call{r.keys.retire(r.life.Load().node)})
}
