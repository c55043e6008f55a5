package out

import (
	"container/list"
	"errors"
	"sync"
	"time"
)

const (
	// Small is the size in bytes up to which a message is small. Its memory is taken as
	// soon as its size is known; that of a larger one grows with the bytes that come.
	Small = 16 << 10
	// reserveShare is the part of a Budget, one in so many, that small messages
	// have to themselves.
	reserveShare = 4
	// stallTime is how long a message may make no progress while others wait for
	// its memory: then it gives way.
	stallTime = 2 * time.Second
	// progress is how many bytes of a message are progress: a byte now and then
	// is none.
	progress = Small
	// memoryWait is how long a message that holds memory may wait for more.
	memoryWait = 10 * time.Second
	// lookInterval is how often one that waits looks for others to give way.
	lookInterval = 250 * time.Millisecond
)

// ErrNoMemory is the end of a message whose memory others need.
var ErrNoMemory = errors.New("no memory for the message")

// Budget bounds the memory of messages that are being received or handled,
// all connections together. A connection that finds it used up stops reading,
// and its client is slowed down; that wait counts for no time limit of the
// client's. A quarter is for small messages only.
//
// What a message holds in the end is given back with Release. A message larger than the budget is received
// alone. When messages that have begun fill the budget, one of them at a time
// may exceed it, so that they do not wait for each other for ever.
//
// While others wait, the message whose client has sent nothing for longest
// gives way, after stallTime at the earliest; so does one that holds memory and
// has waited memoryWait for more: [ErrNoMemory].
type Budget struct {
	start time.Time

	mu      sync.Mutex // guards what follows
	size    int64
	used    int64
	leaving int64            // of used: what is being given up
	beside  int64            // input that waits for its message's memory; not in used
	lane    *Claim           // the message that may exceed the budget
	waiting [ranks]list.List // of *waiter, those that came first in front
	stalled [2]*Claim        // those that wait for their clients: the first, for longest, and the last
}

// Claim is what one message holds while it is received. One goroutine, the one that
// receives the message, uses it.
type Claim struct {
	budget *Budget
	socket *Socket // whose reader is woken when the message has to give way

	// Guarded by the budget.
	since      time.Duration // when its progress was noted
	prev, next *Claim        // among the stalled ones
	listed     bool          // there
	evicted    bool          // it has to give way

	// Owned by the goroutine that receives.
	large  bool  // more than Small bytes were announced
	awaits bool  // its progress was noted
	came   int   // bytes that came since
	n      int64 // changed by the goroutine that grants it more, while that one waits
}

// The ranks of those that wait, in the order in which memory is given. Within
// a class, small or large, messages that have begun come first.
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

// Claim makes a claim, which holds nothing yet, of a message that comes from socket.
func (b *Budget) Claim(socket *Socket) Claim { return Claim{budget: b, socket: socket} }

// Announce says how large the message is going to be at least.
func (c *Claim) Announce(size int64) { c.large = size > Small }

// Came notes n more bytes of input.
func (c *Claim) Came(n int) { c.came += n }

// NewBudget makes a budget of so many bytes; 0 is no bound.
func NewBudget(bytes int64) *Budget { return &Budget{size: bytes, start: time.Now()} }

// Resize changes the budget to so many bytes; 0 is no bound.
func (b *Budget) Resize(bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.size = bytes
	b.grantLocked()
}

// Used is how many bytes are held.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used + b.beside
}

// Release gives n bytes back.
func (b *Budget) Release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.grantLocked()
}

// Take counts n bytes that are there already.
func (b *Budget) Take(n int64) { b.Release(-n) }

// grantLocked lets those waiters go on for whom there is room.
func (b *Budget) grantLocked() {
	for first := smallBegun; first < ranks; first += 2 {
		if b.grantFirstLocked(first) {
			b.grantFirstLocked(first + 1)
		}
	}
}

// grantFirstLocked is grantLocked for one rank; it reports whether none of it
// waits any more.
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

// rank is the rank of a claim that wants n more bytes.
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

// limitLocked is how much may be held for messages of a rank.
func (b *Budget) limitLocked(rank int) int64 {
	if rank >= largeBegun {
		return b.size - b.size/reserveShare
	}
	return b.size
}

// takeLocked takes n bytes for a claim if it may have them.
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

// TryGrow takes n more bytes if that needs no waiting.
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

// WaitGrow waits until it may take n more bytes. Meanwhile so many bytes of
// input wait beside the claim. It fails with ErrClosed when ended is closed
// before, and with ErrNoMemory when the claim has to give way.
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

// evict has as many messages give way as those that wait need.
func (b *Budget) evict() {
	b.mu.Lock()
	var evicted []*Claim
	latest := b.now() - stallTime
	for missing := b.missingLocked(); missing > 0; {
		c := b.stalled[0]
		if c == nil || c.since > latest {
			break
		}
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

// missingLocked is how many bytes are missing for those that wait at the head
// of their ranks.
func (b *Budget) missingLocked() (missing int64) {
	for rank := range b.waiting {
		if e := b.waiting[rank].Front(); e != nil {
			missing = max(missing, b.used-b.leaving+e.Value.(*waiter).n-b.limitLocked(rank))
		}
	}
	return missing
}

// AwaitClient notes, before a wait for the client, whether the message has made
// progress. It fails when the claim has to give way.
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
	c.listed, c.prev, c.next = true, b.stalled[1], nil
	if c.prev != nil {
		c.prev.next = c
	} else {
		b.stalled[0] = c
	}
	b.stalled[1] = c
	return nil
}

// unlistLocked takes a claim from the stalled ones.
func (b *Budget) unlistLocked(c *Claim) {
	if !c.listed {
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		b.stalled[0] = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		b.stalled[1] = c.prev
	}
	c.listed, c.prev, c.next = false, nil, nil
}

// IsEvicted reports whether the claim has to give way.
func (c *Claim) IsEvicted() bool {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	return c.evicted
}

// Keep gives back what the claim holds above n bytes and ends it; the n bytes
// stay held. A claim that has to give way keeps none, and Keep reports false.
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
