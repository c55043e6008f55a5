package out

import (
	"container/list"
	"errors"
	"sync"
	"time"
)

const (
	// Small is the largest small message, in bytes. Its memory is claimed as soon as its
	// size is known; the claim of a larger one grows with the bytes received.
	Small = 16 << 10
	// 1/reserveShare of a Budget is reserved for small messages.
	reserveShare = 4
	// stallTime is the time without progress after which a message may be evicted while
	// others wait for memory.
	stallTime = 2 * time.Second
	// progress is the number of bytes that count as progress: a client that sends single
	// bytes makes none.
	progress = Small
	// memoryWait bounds the wait of a message that holds memory for more.
	memoryWait = 10 * time.Second
	// lookInterval is the period at which a waiting message looks for others to evict.
	lookInterval = 250 * time.Millisecond
)

// ErrNoMemory is returned for a message that was evicted because others need its memory.
var ErrNoMemory = errors.New("no memory for the message")

// Budget is a weighted semaphore: it bounds the memory of messages being received or
// handled, of all connections together. A connection that finds it exhausted stops reading
// (back-pressure); the wait does not count towards the client's time limits. A quarter is
// reserved for small messages.
//
// A message gives its memory back with Release. A message larger than the budget is
// received alone. If incomplete messages fill the budget, one at a time may exceed it,
// which avoids a deadlock.
//
// While others wait, the message with the longest time without progress is evicted, after
// stallTime at the earliest; so is one that holds memory and has waited memoryWait for
// more: [ErrNoMemory].
type Budget struct {
	start time.Time

	mu      sync.Mutex // guards what follows
	size    int64
	used    int64
	leaving int64            // of used: held by evicted messages
	beside  int64            // input kept in memory while its message waits; not in used
	lane    *Claim           // the message that may exceed the budget
	waiting [ranks]list.List // of *waiter, first come first
	stalled list.List        // of *Claim that wait for input, the oldest first
}

// Claim is the memory that one message holds while it is received. Only the goroutine that
// receives the message uses it.
type Claim struct {
	budget *Budget
	socket *Socket // its read deadline is set to end the wait of an evicted message

	// Guarded by the budget.
	since   time.Duration // when progress was last noted
	place   *list.Element // in Budget.stalled; nil: it is not there
	evicted bool          // must be given up

	// Owned by the goroutine that receives.
	large  bool  // more than Small bytes were announced
	awaits bool  // since is set
	came   int   // bytes received since then
	n      int64 // bytes held; while the claim waits, changed by the goroutine that grants more
}

// The ranks of waiting claims, in the order in which memory is granted. Within a class,
// small or large, messages that have begun come first.
const (
	smallBegun = iota
	smallFresh
	largeBegun
	largeFresh
	ranks
)

// waiter is a claim that waits for n more bytes.
type waiter struct {
	claim   *Claim
	n       int64
	granted chan struct{}
}

// Claim returns an empty claim for a message received from socket.
func (b *Budget) Claim(socket *Socket) Claim { return Claim{budget: b, socket: socket} }

// Announce sets the minimum size of the message.
func (c *Claim) Announce(size int64) { c.large = size > Small }

// Came counts n more bytes of input.
func (c *Claim) Came(n int) { c.came += n }

// NewBudget returns a budget of the given size; 0 is unlimited.
func NewBudget(bytes int64) *Budget { return &Budget{size: bytes, start: time.Now()} }

// Resize changes the size of the budget; 0 is unlimited.
func (b *Budget) Resize(bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.size = bytes
	b.grantLocked()
}

// Used returns the number of bytes held.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used + b.beside
}

// Share returns how much of a bounded budget is held: 0.5 is half of it, and more than 1 is
// possible; 0 without a bound.
func (b *Budget) Share() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size <= 0 {
		return 0
	}
	return float64(b.used+b.beside) / float64(b.size)
}

// Release gives n bytes back.
func (b *Budget) Release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.grantLocked()
}

// Take counts n bytes that are in memory already, without a limit.
func (b *Budget) Take(n int64) { b.Release(-n) }

// grantLocked grants memory to waiters while there is room.
func (b *Budget) grantLocked() {
	for first := smallBegun; first < ranks; first += 2 {
		if b.grantFirstLocked(first) {
			b.grantFirstLocked(first + 1)
		}
	}
}

// grantFirstLocked is grantLocked for one rank; it reports whether no waiter is left.
func (b *Budget) grantFirstLocked(rank int) (none bool) {
	waiting := &b.waiting[rank]
	for e := waiting.Front(); e != nil; e = waiting.Front() {
		w := e.Value.(*waiter)
		if !b.takeLocked(w.claim, w.n) {
			return false
		}
		close(w.granted)
		waiting.Remove(e)
	}
	return true
}

// rank returns the rank of a claim for n more bytes.
func (c *Claim) rank(n int64) int {
	rank := smallBegun
	if c.large || c.n+n > Small {
		rank = largeBegun
	}
	if c.n == 0 {
		rank++
	}
	return rank
}

// limitLocked returns the limit of used for messages of a rank.
func (b *Budget) limitLocked(rank int) int64 {
	if rank >= largeBegun {
		return b.size - b.size/reserveShare
	}
	return b.size
}

// takeLocked takes n bytes for a claim if the limits allow it.
func (b *Budget) takeLocked(c *Claim, n int64) bool {
	room := b.size <= 0 || b.used == 0 || b.used+n <= b.limitLocked(c.rank(n))
	if !room && c.n > 0 && (b.lane == nil || b.lane == c) {
		b.lane = c
		room = true
	}
	if room {
		b.used += n
		c.n += n
	}
	return room
}

// TryGrow takes n more bytes if that is possible without waiting.
func (c *Claim) TryGrow(n int64) bool {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	rank := c.rank(n)
	if c.evicted || c.n == 0 && b.waiting[rank-1].Len()+b.waiting[rank].Len() > 0 {
		return false // others were first
	}
	return b.takeLocked(c, n)
}

// WaitGrow waits until it has n more bytes. During the wait, beside bytes of input are
// counted too. It returns ErrClosed when ended is closed first, and ErrNoMemory when the
// claim is evicted.
func (c *Claim) WaitGrow(n, beside int64, ended <-chan struct{}) error {
	b := c.budget
	w := &waiter{claim: c, n: n, granted: make(chan struct{})}
	b.mu.Lock()
	if c.evicted {
		b.mu.Unlock()
		return ErrNoMemory
	}
	b.unlistLocked(c)
	c.awaits = false
	waiting := &b.waiting[c.rank(n)]
	place := waiting.PushBack(w)
	begun := c.n > 0
	b.beside += beside
	b.grantLocked()
	b.mu.Unlock()
	err := b.await(w, begun, ended)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.beside -= beside
	if err != nil {
		waiting.Remove(place) // nothing, when it has been granted meanwhile
		b.grantLocked()
	}
	return err
}

// await is the wait of WaitGrow.
func (b *Budget) await(w *waiter, begun bool, ended <-chan struct{}) error {
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	for since := b.now(); ; {
		select {
		case <-w.granted:
			return nil
		case <-ended:
			return ErrClosed
		case <-look.C:
		}
		b.evict()
		if begun && b.now()-since >= memoryWait {
			return ErrNoMemory
		}
	}
}

func (b *Budget) now() time.Duration { return time.Since(b.start) }

// evict evicts as many stalled messages as the waiting ones need.
func (b *Budget) evict() {
	b.mu.Lock()
	var evicted []*Claim
	latest := b.now() - stallTime
	for missing := b.missingLocked(); missing > 0; {
		first := b.stalled.Front()
		if first == nil || first.Value.(*Claim).since > latest {
			break
		}
		c := first.Value.(*Claim)
		b.unlistLocked(c)
		c.evicted = true
		b.leaving += c.n
		missing -= c.n
		evicted = append(evicted, c)
	}
	b.mu.Unlock()
	for _, c := range evicted {
		_ = c.socket.SetReadDeadline(time.Unix(1, 0)) // fails on a closed socket, as its reader does
	}
}

// missingLocked returns the number of bytes that the first waiters of all ranks lack.
func (b *Budget) missingLocked() (missing int64) {
	for rank := range b.waiting {
		if e := b.waiting[rank].Front(); e != nil {
			missing = max(missing, b.used-b.leaving+e.Value.(*waiter).n-b.limitLocked(rank))
		}
	}
	return missing
}

// AwaitClient notes progress of the message before a wait for input. It returns ErrNoMemory
// if the claim was evicted.
func (c *Claim) AwaitClient() error {
	if c.n == 0 || c.awaits && c.came < progress {
		return nil
	}
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.evicted {
		return ErrNoMemory
	}
	b.unlistLocked(c)
	c.awaits, c.came, c.since = true, 0, b.now()
	c.place = b.stalled.PushBack(c)
	return nil
}

// unlistLocked removes a claim from b.stalled.
func (b *Budget) unlistLocked(c *Claim) {
	if c.place != nil {
		b.stalled.Remove(c.place)
		c.place = nil
	}
}

// IsEvicted reports whether the claim was evicted.
func (c *Claim) IsEvicted() bool {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	return c.evicted
}

// Keep ends the claim and releases all but n bytes, which the caller releases later. An
// evicted claim keeps none, and Keep returns false.
func (c *Claim) Keep(n int64) bool {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unlistLocked(c)
	if c.evicted {
		b.leaving -= c.n
		n = 0
	}
	b.used -= c.n - n
	c.n, c.awaits = 0, false
	if b.lane == c {
		b.lane = nil
	}
	b.grantLocked()
	return !c.evicted
}
