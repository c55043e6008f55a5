package ws

import (
	"container/list"
	"sync"
	"sync/atomic"
)

const (
	// queuedMemory is what a frame that waits costs beside its own bytes.
	queuedMemory = 32
	// writerMemory is what a writer that waits for its client costs.
	writerMemory = 4 << 10
	// lastFrame is how much of a frame that has begun may still be written to a
	// client that is too slow for all of them together.
	lastFrame = 64 << 10
)

// Outgoing bounds the memory of what waits for clients, all connections
// together. A frame that many of them wait for counts once. Only connections
// whose writer waits for the client count: those that keep up cost nothing here.
//
// When it is used up, the client that has taken nothing for longest is closed
// with 4408, then the next, until there is room. The zero value has no bound.
type Outgoing struct {
	size, used atomic.Int64
	relieving  atomic.Bool

	mu      sync.Mutex // guards what follows; locked after Conn.mu
	stalled list.List  // of *Conn: first the one that has taken nothing for longest
}

// Resize changes the bound to so many bytes; 0 is none.
func (o *Outgoing) Resize(bytes int64) {
	o.size.Store(bytes)
	o.add(0)
}

// Used is how many bytes wait.
func (o *Outgoing) Used() int64 { return o.used.Load() }

// full reports whether more waits than may.
func (o *Outgoing) full() bool {
	size := o.size.Load()
	return size > 0 && o.used.Load() > size
}

// add counts n bytes more, or less. It never waits.
func (o *Outgoing) add(n int64) {
	if o.used.Add(n); n >= 0 && o.full() && o.relieving.CompareAndSwap(false, true) {
		go o.relieve()
	}
}

// relieve closes connections until there is room. It ends soon: nothing that it
// does waits for a client.
func (o *Outgoing) relieve() {
	for o.full() {
		c := o.slowest()
		if c == nil {
			break
		}
		c.tooMuch()
	}
	o.relieving.Store(false)
	o.mu.Lock()
	left := o.stalled.Len()
	o.mu.Unlock()
	if left > 0 {
		o.add(0) // more may have come meanwhile
	}
}

// slowest takes the connection out that has taken nothing for longest.
func (o *Outgoing) slowest() *Conn {
	o.mu.Lock()
	defer o.mu.Unlock()
	first := o.stalled.Front()
	if first == nil {
		return nil
	}
	c := o.stalled.Remove(first).(*Conn)
	c.outbox.place = nil
	return c
}

// took notes that a connection's client has taken something.
func (o *Outgoing) took(c *Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.outbox.place != nil {
		o.stalled.MoveToBack(c.outbox.place)
	}
}

// enter counts a frame in, see [outbox]; the result is its memory.
func (q *queued) enter() int64 {
	if q.kind <= reply && q.frame.Waits.Add(1) > 1 {
		return queuedMemory
	}
	return queuedMemory + int64(q.len())
}

// leave undoes enter.
func (q *queued) leave() int64 {
	if q.kind <= reply && q.frame.Waits.Add(-1) > 0 {
		return -queuedMemory
	}
	return -queuedMemory - int64(q.len())
}

// stallsLocked lets what waits count, as the writer begins to wait for the
// client.
func (c *Conn) stallsLocked() {
	o := &c.outbox
	if o.stalled || o.failed {
		return
	}
	o.stalled = true
	bytes := int64(writerMemory)
	for i := range o.frames {
		bytes += o.frames[i].enter()
	}
	o.outgoing.mu.Lock()
	o.place = o.outgoing.stalled.PushBack(c)
	o.outgoing.mu.Unlock()
	o.outgoing.add(bytes)
}

// goesOn undoes what is left of stallsLocked, when nothing waits any more.
func (o *outbox) goesOn() {
	if !o.stalled {
		return
	}
	o.stalled = false
	o.outgoing.mu.Lock()
	if o.place != nil {
		o.outgoing.stalled.Remove(o.place)
		o.place = nil
	}
	o.outgoing.mu.Unlock()
	o.outgoing.add(-writerMemory)
}

// tooMuch ends a connection for whose frames there is no memory. A Close frame
// goes out if little of a frame that has begun is left before it.
func (c *Conn) tooMuch() {
	c.mu.Lock()
	if o := &c.outbox; o.stalled && !c.dead {
		c.shared.Stats.OutgoingFull.Add(1)
		if o.closing {
			c.todo |= doShut
		} else {
			c.tooSlowLocked()
		}
		if o.bytes > lastFrame {
			c.todo |= doShut
		}
	}
	c.unlock()
}
