package cache

import (
	"slices"
	"time"

	"wsfpm/gateway/suspend"
	"wsfpm/session"
)

// Run is a message for which PHP runs. One goroutine uses it. It ends with the first of
// Store, Refuse and Close.
type Run struct {
	// Waited is how long the message has waited for runs of others.
	Waited time.Duration

	c          *Cache
	q          *Question
	flight     *flight  // nil: no other message waits for it
	vary       []string // names by which the flight's messages are the same
	generation uint64
	began      suspend.Time
	over       bool
}

// Store ends a run whose answer may be kept for a time, counted from the beginning of the run
// (RFC 9111, 4.2.3), for messages with the same values for the names in vary, which
// [ParseVary] returned. It gives the answer to those that wait. It is stored if an answer of
// the key was seen before, if no purge has come meanwhile, and if there is room. Stored
// reports whether it may be, the first two aside.
func (r *Run) Store(m *session.Message, age time.Duration, vary []string) (stored bool) {
	size := int64(entrySize + forms*len(m.Data()))
	if size > r.c.size/answerShare {
		r.Refuse()
		return false
	}
	if r.over {
		return false
	}
	names := union(r.vary, vary)
	at := r.q.Vary(names) // without a lock; after a panic Close frees those that wait
	r.over = true
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	given := result{message: m}
	if !slices.Equal(names, r.vary) {
		given = result{} // the messages that wait may differ in a new name
	}
	c.finishLocked(r.flight, given)
	was, seen := c.marks.get(r.q.Key)
	switch now := time.Now(); {
	case !seen, !was.private.IsZero() && now.After(was.private):
		c.markLocked(r.q.Key, mark{vary: names})
	case !was.private.IsZero():
	case len(union(was.vary, names)) > len(names): // another run has seen a further name
		c.markLocked(r.q.Key, mark{vary: union(was.vary, names)})
	default:
		c.markLocked(r.q.Key, mark{vary: names})
		if r.generation == c.generation {
			c.entries.put(at, entry{m, r.began, age}, size)
		}
	}
	return true
}

// Refuse ends a run whose answer is for its client only. All messages that wait for it run at
// once, and for two minutes none waits for another's run of this key.
func (r *Run) Refuse() {
	if r.over {
		return
	}
	r.over = true
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finishLocked(r.flight, result{})
	if was, seen := c.marks.get(r.q.Key); seen && was.private.IsZero() {
		c.markLocked(r.q.Key, mark{vary: was.vary, private: time.Now().Add(privateFor)})
	}
}

// Close ends a run without an answer: one of the messages that wait runs, or after two
// successors all of them. It does nothing after Store and Refuse, and is meant to be
// deferred.
func (r *Run) Close() {
	if r.over {
		return
	}
	r.over = true
	if f := r.flight; f != nil {
		r.c.mu.Lock()
		defer r.c.mu.Unlock()
		if f.failures++; f.failures > successors || len(f.waiters) == 0 {
			r.c.finishLocked(f, result{})
			return
		}
		for w := range f.waiters {
			delete(f.waiters, w)
			w.result <- result{run: true} // has room
			return
		}
	}
}

// finishLocked ends a flight, which may be nil: all that wait get the result.
func (c *Cache) finishLocked(f *flight, given result) {
	if f == nil {
		return
	}
	if c.flights[f.at] == f {
		delete(c.flights, f.at)
	}
	for w := range f.waiters {
		w.result <- given // has room
	}
	clear(f.waiters)
}

// markLocked notes what is known of a key.
func (c *Cache) markLocked(k Key, m mark) {
	size := int64(markSize)
	for _, name := range m.vary {
		size += int64(len(name)) + 16
	}
	c.marks.put(k, m, size)
}
