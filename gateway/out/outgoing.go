package out

import (
	"container/list"
	"sync"
	"sync/atomic"
)

const (
	// pieceMemory is what a piece that waits costs beside its own bytes.
	pieceMemory = 32
	// writerMemory is what a writer that waits for its client costs.
	writerMemory = 4 << 10
	// lastPiece is how much of a piece that has begun may still be written to a
	// client that is too slow for all of them together.
	lastPiece = 64 << 10
)

// Outgoing bounds the memory of what waits for clients, all of them
// together. A message that many of them wait for counts once. Only those
// whose writer waits for the client count: those that keep up cost nothing here.
//
// When it is used up, the client that has taken nothing for longest is closed,
// then the next, until there is room. The zero value has no bound.
type Outgoing struct {
	size, used atomic.Int64
	relieving  atomic.Bool

	mu      sync.Mutex // guards what follows; locked after Outlet.mu
	stalled list.List  // of *Outlet: first the one that has taken nothing for longest
}

// Resize changes the bound to so many bytes; 0 is none.
func (m *Outgoing) Resize(bytes int64) {
	m.size.Store(bytes)
	m.add(0)
}

// Used is how many bytes wait.
func (m *Outgoing) Used() int64 { return m.used.Load() }

// full reports whether more waits than may.
func (m *Outgoing) full() bool {
	size := m.size.Load()
	return size > 0 && m.used.Load() > size
}

// add counts n bytes more, or less. It never waits.
func (m *Outgoing) add(n int64) {
	if m.used.Add(n); n >= 0 && m.full() && m.relieving.CompareAndSwap(false, true) {
		go m.relieve()
	}
}

// relieve ends outlets until there is room. It ends soon: nothing that it
// does waits for a client.
func (m *Outgoing) relieve() {
	for m.full() {
		o := m.slowest()
		if o == nil {
			break
		}
		o.tooMuch()
	}
	m.relieving.Store(false)
	m.mu.Lock()
	left := m.stalled.Len()
	m.mu.Unlock()
	if left > 0 {
		m.add(0) // more may have come meanwhile
	}
}

// slowest takes the outlet out that has taken nothing for longest.
func (m *Outgoing) slowest() *Outlet {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := m.stalled.Front()
	if first == nil {
		return nil
	}
	o := m.stalled.Remove(first).(*Outlet)
	o.queue.place = nil
	return o
}

// took notes that an outlet's client has taken something.
func (m *Outgoing) took(o *Outlet) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o.queue.place != nil {
		m.stalled.MoveToBack(o.queue.place)
	}
}

// enter counts a piece in; the result is its memory.
func (p *piece) enter() int64 {
	if p.kind <= reply && p.Waits.Add(1) > 1 {
		return pieceMemory
	}
	return pieceMemory + int64(p.Len())
}

// leave undoes enter.
func (p *piece) leave() int64 {
	if p.kind <= reply && p.Waits.Add(-1) > 0 {
		return -pieceMemory
	}
	return -pieceMemory - int64(p.Len())
}

// stallsLocked lets what waits count, as the writer begins to wait for the
// client.
func (o *Outlet) stallsLocked() {
	q := &o.queue
	if q.stalled || q.failed {
		return
	}
	q.stalled = true
	bytes := int64(writerMemory)
	for i := range q.waiting {
		bytes += q.waiting[i].enter()
	}
	q.outgoing.mu.Lock()
	q.place = q.outgoing.stalled.PushBack(o)
	q.outgoing.mu.Unlock()
	q.outgoing.add(bytes)
}

// goesOn undoes what is left of stallsLocked, when nothing waits any more.
func (q *queue) goesOn() {
	if !q.stalled {
		return
	}
	q.stalled = false
	q.outgoing.mu.Lock()
	if q.place != nil {
		q.outgoing.stalled.Remove(q.place)
		q.place = nil
	}
	q.outgoing.mu.Unlock()
	q.outgoing.add(-writerMemory)
}

// tooMuch ends an outlet for which there is no memory. The last bytes
// go out if little of a piece that has begun is left before them.
func (o *Outlet) tooMuch() {
	o.mu.Lock()
	q := &o.queue
	if !q.stalled {
		o.mu.Unlock()
		return
	}
	o.shared.Stats.OutgoingFull.Add(1)
	ending := q.closing
	if !ending {
		o.tooSlowLocked()
	}
	cutOff := ending || q.begun() > lastPiece
	o.mu.Unlock()
	if !ending {
		o.owner.Slow()
	}
	if cutOff {
		o.owner.CloseNow()
	}
}
