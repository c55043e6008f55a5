package cache

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"wsfpm/gateway/suspend"
	"wsfpm/session"
)

// ErrWait is returned by [Cache.Ask] when the run of another client's message lasts longer
// than the caller may wait.
var ErrWait = errors.New("the run of the same message of another client lasts longer than the wait may")

const (
	// privateFor is how long a key is passed by after an answer for one client only.
	privateFor = 120 * time.Second
	// successors is how many messages run, one after another, for those that wait, when
	// runs fail. After that each runs for itself.
	successors = 2
	// answerShare is the part of the cache that one answer may take: a sixteenth. markShare
	// is that of the marks: a quarter, so that keys which clients make up cost no answers.
	answerShare, markShare = 16, 4
	// Sizes in memory without the variable parts, in bytes.
	entrySize, markSize = 512, 256
	// forms is how many forms of a payload an entry may hold: the payload with a frame's
	// header, in an envelope, and compressed.
	forms = 3
)

// Stats counts messages by what became of them. It is safe for concurrent use, and shared by
// the caches of all routes.
type Stats struct {
	Hits   atomic.Int64 // answered from the cache
	Waits  atomic.Int64 // answered with the answer of another's run
	Misses atomic.Int64 // run
}

// Cache holds the answers of one route. It is safe for concurrent use. Its memory is bounded
// by the size that it was made with; runs and waiting messages are bounded by the caller.
type Cache struct {
	size  int64
	stats *Stats
	clock suspend.Clock // nil: this machine's

	mu         sync.Mutex // guards what follows
	generation uint64     // raised by Purge
	entries    lru[entry] // by the key with the values of Vary
	marks      lru[mark]  // by the key without them
	flights    map[Key]*flight
}

// entry is a stored answer.
type entry struct {
	message *session.Message
	began   suspend.Time  // the run
	age     time.Duration // from then on it may be given out
}

// mark is what is known of a key: its answers can be stored, or were not to be shared.
type mark struct {
	vary    []string  // names of all its answers so far, see union
	private time.Time // no message waits for a run of this key until then; zero: its answers can be stored
}

// flight is a run that others wait for, and its successors.
type flight struct {
	at         Key
	generation uint64 // at its beginning
	failures   int
	waiters    map[*waiter]struct{}
}

// waiter is a message that waits for a flight.
type waiter struct{ result chan result }

// result is what a waiter gets: an answer, the order to run for the others, or neither: it
// runs for itself.
type result struct {
	message *session.Message
	run     bool
}

// New returns a cache of at most size bytes, which counts in stats.
func New(size int64, stats *Stats) *Cache {
	return &Cache{
		size: size, stats: stats, flights: make(map[Key]*flight),
		entries: newLRU[entry](size - size/markShare), marks: newLRU[mark](size / markShare),
	}
}

// Question is a message that may have a stored answer.
type Question struct {
	// Key is that of everything that the answer may depend on, Vary aside.
	Key Key
	// Vary returns the key with the values that the message has for these names. It is
	// called without a lock.
	Vary func(names []string) Key
	// Wait is how long the message may wait for another's run.
	Wait time.Duration
}

// Ask returns the answer to a message, or else the run that the caller owes: it calls PHP and
// ends the run. It waits for the run of the same message of another client once an earlier
// answer could be stored. The error is [ErrWait].
func (c *Cache) Ask(q Question) (*session.Message, *Run, error) {
	names, shared := c.known(q.Key)
	if !shared {
		return nil, c.alone(&q, 0), nil
	}
	m, run, f, w := c.enter(&q, q.Vary(names), names)
	if w == nil {
		return m, run, nil
	}
	return c.await(&q, f, w, names)
}

// known reports whether answers of a key can be stored, and the names by which they vary.
func (c *Cache) known(k Key) (names []string, shared bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, found := c.marks.get(k)
	return m.vary, found && m.private.IsZero()
}

// alone returns a run that no other message waits for.
func (c *Cache) alone(q *Question, waited time.Duration) *Run {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runLocked(q, nil, nil, waited)
}

// runLocked begins a run. What it reads is newer than all purges until now.
func (c *Cache) runLocked(q *Question, f *flight, names []string, waited time.Duration) *Run {
	c.stats.Misses.Add(1)
	return &Run{c: c, q: q, flight: f, vary: names, generation: c.generation, began: c.clock.Now(), Waited: waited}
}

// enter returns the stored answer, a new run, or a place among those that wait for one.
func (c *Cache) enter(q *Question, at Key, names []string) (*session.Message, *Run, *flight, *waiter) {
	now := c.clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, found := c.entries.get(at); found {
		if now.Sub(e.began) < e.age {
			c.stats.Hits.Add(1)
			return e.message, nil, nil, nil
		}
		c.entries.remove(at)
	}
	f := c.flights[at]
	if f == nil || f.generation != c.generation { // what began before a purge may have read the past
		f = &flight{at: at, generation: c.generation, waiters: make(map[*waiter]struct{})}
		c.flights[at] = f
		return nil, c.runLocked(q, f, names, 0), nil, nil
	}
	w := &waiter{make(chan result, 1)}
	f.waiters[w] = struct{}{}
	return nil, nil, f, w
}

// await waits for the end of a flight, or for the order to run.
func (c *Cache) await(q *Question, f *flight, w *waiter, names []string) (*session.Message, *Run, error) {
	began := time.Now()
	var r result
	select {
	case r = <-w.result:
	case <-time.After(q.Wait):
		if c.leave(f, w) {
			return nil, nil, ErrWait
		}
		r = <-w.result // it came at the same time
	}
	waited := time.Since(began)
	switch {
	case r.message != nil:
		c.stats.Waits.Add(1)
		return r.message, nil, nil
	case r.run:
		c.mu.Lock()
		defer c.mu.Unlock()
		return nil, c.runLocked(q, f, names, waited), nil
	}
	return nil, c.alone(q, waited), nil
}

// leave ends a wait. It reports false if the waiter has its result already.
func (c *Cache) leave(f *flight, w *waiter) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, waits := f.waiters[w]
	delete(f.waiters, w)
	return waits
}

// Purge drops all answers, and those of runs that have begun: they are given to the messages
// that wait for them already, and not stored.
func (c *Cache) Purge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.entries.clear()
}

// Retire frees the memory of a cache that is asked no more. Runs go on, as after Purge.
func (c *Cache) Retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.entries.clear()
	c.marks.clear()
}

// Bytes returns the memory in use, by estimate.
func (c *Cache) Bytes() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries.bytes + c.marks.bytes
}
