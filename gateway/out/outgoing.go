package out

import (
	"container/list"
	"sync"
	"sync/atomic"
)

const (
	// pieceMemory is the memory of a queued piece in addition to its bytes.
	pieceMemory = 32
	// writerMemory is the memory of a writer that waits for its client.
	writerMemory = 4 << 10
	// lastPiece is the largest rest of a piece that is still written to a client that is
	// closed for want of memory.
	lastPiece = 64 << 10
)

// Outgoing bounds the memory of the output queues of all clients together. A message queued
// for many clients counts once. Only queues whose writer waits for its client count:
// clients that keep up cost nothing here.
//
// If the bound is exceeded, the client with the longest time without progress is closed,
// then the next, until there is room. The zero value is unlimited.
type Outgoing struct {
	size, used atomic.Int64
	relieving  atomic.Bool

	mu      sync.Mutex // guards what follows; locked after Outlet.mu
	stalled list.List  // of *Outlet: first the one with the longest time without progress
}

// Resize sets the bound in bytes; 0 is unlimited.
func (m *Outgoing) Resize(bytes int64) {
	m.size.Store(bytes)
	m.add(0)
}

// Used returns the number of bytes queued.
func (m *Outgoing) Used() int64 { return m.used.Load() }

func (m *Outgoing) full() bool {
	size := m.size.Load()
	return size > 0 && m.used.Load() > size
}

// add adds n, which may be negative. It never waits.
func (m *Outgoing) add(n int64) {
	if m.used.Add(n); n >= 0 && m.full() && m.relieving.CompareAndSwap(false, true) {
		go m.relieve()
	}
}

// relieve closes outlets until there is room. It does not wait for clients.
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

// slowest removes and returns the outlet with the longest time without progress, or nil.
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

// took notes that an outlet's client has made progress.
func (m *Outgoing) took(o *Outlet) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o.queue.place != nil {
		m.stalled.MoveToBack(o.queue.place)
	}
}

// enter counts the piece as queued and returns the memory that it adds.
func (p *piece) enter() int64 {
	if p.kind <= reply && p.Waits.Add(1) > 1 {
		return pieceMemory
	}
	return pieceMemory + int64(p.Len())
}

// leave undoes enter; its result is negative.
func (p *piece) leave() int64 {
	if p.kind <= reply && p.Waits.Add(-1) > 0 {
		return -pieceMemory
	}
	return -pieceMemory - int64(p.Len())
}

// stallsLocked counts the queue in Outgoing when the writer begins to wait for the client.
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

// goesOn undoes the rest of stallsLocked when the queue is empty.
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

// tooMuch closes an outlet for want of memory. The last bytes are sent unless more than
// lastPiece of a piece is still to be written before them.
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
