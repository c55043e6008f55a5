package registry

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"
)

// scanBeats is the number of beats that a comparison of all records takes: what is missing is
// found by the second one at the latest, within a minute.
const scanBeats = 5

// reconcile compares this node's hash with its entries, some parts after each beat: a
// failover may have lost the last writes, and a write that arrives after its connection
// has ended leaves a record. Only the work loop uses it, due and cycle aside.
type reconcile struct {
	due    atomic.Int64  // parts until the next beat; set by each beat
	cycle  atomic.Uint32 // the number of the present scan of the whole hash
	cursor uint64
	of     *life
}

// reconcileSome compares one part.
func (r *Registry) reconcileSome(ctx context.Context) {
	c, l := &r.reconcile, r.life.Load()
	if c.of != l {
		c.of, c.cursor = l, 0
	}
	if c.cursor == 0 {
		c.cycle.Add(1)
	}
	pairs, next, err := scan(ctx, r.cfg.Store, r.keys.node(l.node), c.cursor)
	if err != nil {
		r.failed("reconcile", err)
		return
	}
	wrong := 0
	for i := 0; i+1 < len(pairs); i += 2 {
		id := pairs[i]
		if id == "." {
			continue
		}
		switch e := r.seen(l, id); {
		case e == nil:
			r.forgetNow(&Entry{id: id, life: l, unknown: true}) // it may have ended since
			signal(r.work)
		case r.compare(e, version(pairs[i+1])):
			wrong++
		}
	}
	if c.cursor = next; next == 0 {
		c.due.Store(0)
		for _, e := range r.unseen(l) {
			if r.compare(e, 0) {
				wrong++
			}
		}
	}
	r.repaired(0, wrong)
}

// repaired counts records without a connection that were removed, and those of connections
// that are written again.
func (r *Registry) repaired(unknown, lost int) {
	if unknown+lost == 0 {
		return
	}
	r.counts.repaired.Add(int64(unknown + lost))
	r.log.Warn("records in redis differed from this node's connections: they are repaired",
		zap.Int("unknown", unknown), zap.Int("lost", lost))
}

// seen notes that a connection's record was seen, and returns its entry, or nil.
func (r *Registry) seen(l *life, id string) *Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[id]
	if e == nil || e.life != l {
		return nil
	}
	e.seen = r.reconcile.cycle.Load()
	return e
}

// unseen returns the entries that a scan of the whole hash did not show.
func (r *Registry) unseen(l *life) (list []*Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cycle := r.reconcile.cycle.Load()
	for _, e := range r.entries {
		if e.life == l && e.seen != cycle {
			list = append(list, e)
		}
	}
	return list
}

// compare has an entry written again if Redis was found to have an older version of it, or
// none (0). An entry whose record is on its way, or was confirmed since the scan began, is left to
// the next one: what was found may be older.
func (r *Registry) compare(e *Entry, found uint64) (behind bool) {
	if !e.mu.TryLock() {
		return false
	}
	behind = e.confirmed != r.reconcile.cycle.Load() && e.slot.behind(found)
	e.mu.Unlock()
	if behind {
		r.enqueue(e, true)
	}
	return behind
}

// version is that of a stored record; 0 if it is unreadable.
func version(stored string) uint64 {
	first, _, _ := strings.Cut(stored, "\n")
	n, err := strconv.ParseUint(first, 10, 53)
	if err != nil {
		return 0
	}
	return n
}
