package ws

import "sync"

// Budget bounds the memory of messages that are being received or handled,
// all connections together. A connection that finds it used up stops reading,
// and its client is slowed down; nothing fails.
//
// What a message holds passes to the caller of [Conn.Read], who gives
// len(Data) back with Release. A message larger than the budget is received
// alone. When messages that have begun fill the budget, one of them at a time
// may exceed it, so that they do not wait for each other for ever.
type Budget struct {
	mu      sync.Mutex
	size    int64
	used    int64
	lane    *claim    // the message that may exceed the budget
	growing []*waiter // messages that hold something, oldest first
	fresh   []*waiter // messages that hold nothing yet
}

// claim is what one message holds while it is received.
type claim struct {
	budget *Budget
	n      int64
}

// waiter is a claim that waits for n more bytes.
type waiter struct {
	claim   *claim
	n       int64
	granted chan struct{}
}

// NewBudget makes a budget of so many bytes; 0 is no bound.
func NewBudget(bytes int64) *Budget { return &Budget{size: bytes} }

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
	return b.used
}

// Release gives n bytes back.
func (b *Budget) Release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.grantLocked()
}

// grantLocked lets those waiters go on for whom there is room, messages that
// have begun before others.
func (b *Budget) grantLocked() {
	b.growing = b.grantFirstLocked(b.growing)
	if len(b.growing) == 0 {
		b.fresh = b.grantFirstLocked(b.fresh)
	}
}

func (b *Budget) grantFirstLocked(waiting []*waiter) []*waiter {
	for len(waiting) > 0 && b.takeLocked(waiting[0].claim, waiting[0].n) {
		close(waiting[0].granted)
		waiting[0] = nil
		waiting = waiting[1:]
	}
	if len(waiting) == 0 {
		return nil
	}
	return waiting
}

// takeLocked takes n bytes for a claim if it may have them.
func (b *Budget) takeLocked(c *claim, n int64) bool {
	room := b.size <= 0 || b.used == 0 || b.used+n <= b.size
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

// tryGrow takes n more bytes if that needs no waiting.
func (c *claim) tryGrow(n int64) bool {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.n == 0 && len(b.fresh) > 0 {
		return false // others were first
	}
	return b.takeLocked(c, n)
}

// waitGrow waits until it may take n more bytes, and reports false when ended
// is closed before.
func (c *claim) waitGrow(n int64, ended <-chan struct{}) bool {
	b := c.budget
	w := &waiter{claim: c, n: n, granted: make(chan struct{})}
	b.mu.Lock()
	if c.n > 0 {
		b.growing = append(b.growing, w)
	} else {
		b.fresh = append(b.fresh, w)
	}
	b.grantLocked()
	b.mu.Unlock()
	select {
	case <-w.granted:
		return true
	case <-ended:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.growing = without(b.growing, w)
	b.fresh = without(b.fresh, w)
	b.grantLocked()
	return false
}

// keep gives back what the claim holds above n bytes and ends it; the n bytes
// stay held.
func (c *claim) keep(n int64) {
	b := c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= c.n - n
	c.n = 0
	if b.lane == c {
		b.lane = nil
	}
	b.grantLocked()
}

// without is waiting less w.
func without(waiting []*waiter, w *waiter) []*waiter {
	for i := range waiting {
		if waiting[i] == w {
			return append(waiting[:i:i], waiting[i+1:]...)
		}
	}
	return waiting
}
