package fcgi

import "time"

// waiter is one request without a slot. Waiters are reused.
type waiter struct {
	lane    Lane
	owner   *owner
	since   time.Time
	number  uint64 // arrival
	granted chan grant
	timer   *time.Timer
	excess  bool // its owner had more than a share waiting when it arrived

	list       *fifo // that it waits in; nil after the grant
	prev, next *waiter
}

// grant ends a wait: with a slot, or with an error.
type grant struct {
	slot slot
	err  error
}

// owner is the unit of fairness: a user or address whose requests share a quota. It
// exists while it holds a slot or waits for one.
type owner struct {
	name    string
	running int // slots held
	waiting int // requests in the queue
	excess  int // of these, the ones marked excess
	// parked holds the requests passed over because the owner had its share.
	parked [lanes]fifo
}

// queue is a fair priority queue. The pool's lock guards it.
//
// A waiter is in its lane, or parked with its owner. Invariant: an owner below its
// share has its oldest request of every lane in that lane, so that none is parked for
// ever. Every operation that lowers an owner's count calls unpark.
type queue struct {
	lanes   [lanes]fifo
	waiting [lanes]int // parked ones too
	total   int
	excess  int           // requests that do not delay others
	passed  uint64        // requests that left after a later one of their lane was served: they had been parked
	served  [lanes]uint64 // the latest arrival that was served
	owners  map[string]*owner
	spare   []*owner // for reuse
	last    uint64   // the latest arrival's number
	streak  int      // number of turns of LaneHigh since LaneNormal's last
	fasted  int      // number of turns of other lanes since LaneLow's last
}

// lowEvery is the guarantee of LaneLow: one slot of so many, while a request waits in
// it. Turns are counted while none waits, so that a request that timed out and comes
// again keeps its progress.
const lowEvery = 16

// owner returns the owner with that name, nil for "".
func (q *queue) owner(name string) *owner {
	if name == "" {
		return nil
	}
	o := q.owners[name]
	if o != nil {
		return o
	}
	if n := len(q.spare); n > 0 {
		o, q.spare = q.spare[n-1], q.spare[:n-1]
	} else {
		o = new(owner)
	}
	o.name = name
	q.owners[name] = o
	return o
}

// push appends w to its lane.
func (q *queue) push(w *waiter, share int) {
	q.last++
	w.number = q.last
	q.lanes[w.lane].pushBack(w)
	q.waiting[w.lane]++
	q.total++
	w.excess = false
	if w.owner == nil {
		return
	}
	w.owner.waiting++
	if w.excess = w.lane != LaneLow && w.owner.waiting > share; w.excess {
		w.owner.excess++
		q.excess++
	}
}

// ahead estimates how many requests will be served before a new one of owner o. Of
// every other owner at most a share counts, since the rest is passed over. A request
// of LaneLow waits for at most lowEvery of the other lanes.
func (q *queue) ahead(lane Lane, o *owner) int {
	n := q.total - q.excess
	if o != nil {
		n += o.excess
	}
	if lane != LaneLow {
		return n - q.waiting[LaneLow]
	}
	return min(n, lowEvery*q.waiting[LaneLow]+max(0, lowEvery-1-q.fasted))
}

// next removes the waiter to be served now from the queue and charges its owner for a
// slot. The scheduler is work-conserving: if all owners have their share, the oldest
// waiter is next.
func (q *queue) next(share int) *waiter {
	w := q.turn(share)
	if w == nil {
		w = q.oldestParked()
	}
	if w == nil {
		return nil
	}
	q.fasted++
	switch w.lane {
	case LaneHigh:
		q.streak++
	case LaneNormal:
		q.streak = 0
	case LaneLow:
		q.fasted = 0
	}
	if w.owner != nil {
		w.owner.running++
	}
	q.served[w.lane] = max(q.served[w.lane], w.number)
	q.remove(w, share)
	return w
}

// turn returns the first waiter of the lane whose turn it is whose owner is below its
// share.
func (q *queue) turn(share int) *waiter {
	high, normal, low := q.front(LaneHigh, share), q.front(LaneNormal, share), q.front(LaneLow, share)
	switch {
	case low != nil && q.fasted >= lowEvery-1:
		return low
	case normal != nil && (high == nil || q.streak >= 3):
		return normal
	case high != nil:
		return high
	}
	return low
}

// front returns the first waiter in the lane whose owner is below its share, and parks
// those before it.
func (q *queue) front(lane Lane, share int) *waiter {
	l := &q.lanes[lane]
	for w := l.first; w != nil; w = l.first {
		if w.owner == nil || w.owner.running < share {
			return w
		}
		l.remove(w)
		w.owner.parked[lane].insert(w)
	}
	return nil
}

// oldestParked returns the oldest parked waiter. Only owners with a full share have
// any, so the search is short.
func (q *queue) oldestParked() *waiter {
	for lane := range lanes {
		var oldest *waiter
		for _, o := range q.owners {
			if w := o.parked[lane].first; w != nil && (oldest == nil || w.number < oldest.number) {
				oldest = w
			}
		}
		if oldest != nil {
			return oldest
		}
	}
	return nil
}

// remove takes w out of the queue: it is served, or has given up.
func (q *queue) remove(w *waiter, share int) {
	w.list.remove(w)
	q.waiting[w.lane]--
	q.total--
	if w.number < q.served[w.lane] {
		q.passed++
	}
	if w.owner != nil {
		w.owner.waiting--
		if w.excess {
			w.owner.excess--
			q.excess--
		}
		q.unpark(w.owner, share)
		q.forget(w.owner)
	}
}

// finished records that o has released a slot.
func (q *queue) finished(o *owner, share int) {
	if o != nil {
		o.running--
		q.unpark(o, share)
		q.forget(o)
	}
}

// unpark puts o's oldest request of every lane back into the lane if o is below its
// share.
func (q *queue) unpark(o *owner, share int) {
	if o.running >= share {
		return
	}
	for lane := range lanes {
		if w := o.parked[lane].first; w != nil {
			o.parked[lane].remove(w)
			q.lanes[lane].insert(w)
		}
	}
}

// forget removes an owner without slots and waiters.
func (q *queue) forget(o *owner) {
	if o != nil && o.running == 0 && o.waiting == 0 {
		delete(q.owners, o.name)
		if len(q.spare) < mostSpares {
			q.spare = append(q.spare, o)
		}
	}
}

// fifo is a list of waiters in order of arrival.
type fifo struct{ first, last *waiter }

func (l *fifo) pushBack(w *waiter) {
	w.list, w.prev, w.next = l, l.last, nil
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
}

// insert adds w in order of arrival. A waiter that is unparked is older than almost
// all, one that is parked younger, so both ends are tried first.
func (l *fifo) insert(w *waiter) {
	if l.last == nil || l.last.number < w.number {
		l.pushBack(w)
		return
	}
	at := l.first
	for at.number < w.number {
		at = at.next
	}
	w.list, w.prev, w.next = l, at.prev, at
	at.prev = w
	if w.prev == nil {
		l.first = w
	} else {
		w.prev.next = w
	}
}

func (l *fifo) remove(w *waiter) {
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.list, w.prev, w.next = nil, nil, nil
}
