package out

import (
	"container/list"
	"slices"

	"wsfpm/session"
)

// kind says what a queued piece is.
type kind uint8

const (
	push    kind = iota + 1 // a message that counts for Limits
	reply                   // any other message
	control                 // not a message
	urgent                  // a control that goes first
	last
)

// piece is something whole that waits to be written.
type piece struct {
	*session.Encoding // a push's is shared by all clients that get it
	kind              kind
}

// queue is the order of pieces on their way out. It is guarded by Outlet.mu.
type queue struct {
	waiting  []piece
	one      [1]piece          // the memory of waiting while there is no more than one
	offset   int               // bytes of waiting[0] that are written
	inFlight int               // pieces that the writer is writing at this moment
	urgent   *session.Encoding // goes before the next piece; the newest replaces it

	sent   int64 // bytes that have been written
	bytes  int64 // of all pieces, less offset
	pushed int64 // of the pushes among them
	pushes int   // their number

	closing bool // the last piece is accepted: nothing may follow
	closed  bool // the last piece is written
	failed  bool // writing is over for good
	slow    bool // cut: what the writer holds and does not get written is dropped too
	stalled bool // the writer waits for the client, and all pieces count in outgoing

	outgoing *Outgoing
	place    *list.Element // in outgoing, which guards it
}

// accepts reports whether a piece may still follow.
func (q *queue) accepts() bool { return !q.closing && !q.failed }

// add appends a piece.
func (q *queue) add(e *session.Encoding, k kind) {
	if len(q.waiting) == 0 {
		q.waiting = q.one[:0]
	}
	p := piece{e, k}
	q.waiting = append(q.waiting, p)
	n := int64(p.Len())
	q.bytes += n
	if k == push {
		q.pushed += n
		q.pushes++
	}
	if q.stalled {
		q.outgoing.add(p.enter())
	}
}

// left takes a piece that is written or dropped out of all sums but bytes.
func (q *queue) left(p *piece) {
	if p.kind == push {
		q.pushed -= int64(p.Len())
		q.pushes--
	}
	if q.stalled {
		q.outgoing.add(p.leave())
	}
}

// close appends the last piece.
func (q *queue) close(e *session.Encoding) {
	q.closing = true
	q.add(e, last)
}

// hurry lets e go before the next piece, in the place of an earlier one that waits to.
func (q *queue) hurry(e *session.Encoding) {
	q.calm()
	q.urgent = e
	q.bytes += int64(e.Len())
}

// calm drops what is urgent.
func (q *queue) calm() {
	if q.urgent != nil {
		q.bytes -= int64(q.urgent.Len())
		q.urgent = nil
	}
}

// empty reports whether there is nothing to write.
func (q *queue) empty() bool { return len(q.waiting) == 0 && q.urgent == nil }

// gather fills bufs with the next bytes to write, whole pieces but for the
// rest of one that has begun, and returns how many it filled and their sum.
// What is urgent goes before the first piece that has not begun.
func (q *queue) gather(bufs [][]byte) (n, size int) {
	if q.urgent != nil {
		q.putUrgent()
	}
	n = min(len(bufs), len(q.waiting))
	for i := range n {
		bufs[i] = q.waiting[i].Bytes()
		size += len(bufs[i])
	}
	if n > 0 {
		bufs[0] = bufs[0][q.offset:]
		size -= q.offset
	}
	q.inFlight = n
	return n, size
}

// putUrgent gives what is urgent its place in the order, which it takes from an older
// one that is still there.
func (q *queue) putUrgent() {
	newest := piece{q.urgent, urgent}
	q.urgent = nil
	at := 0
	if q.offset > 0 {
		at = 1
	}
	switch {
	case len(q.waiting) == 0:
		q.waiting = append(q.one[:0], newest)
	case at < len(q.waiting) && q.waiting[at].kind == urgent:
		q.bytes -= int64(q.waiting[at].Len())
		q.left(&q.waiting[at])
		q.waiting[at] = newest
	default:
		q.waiting = slices.Insert(q.waiting, at, newest)
	}
	if q.stalled {
		q.outgoing.add(newest.enter())
	}
}

// wrote takes n bytes off the front. It returns how many messages
// have been completed.
func (q *queue) wrote(n int) (messages int64) {
	q.inFlight = 0
	q.sent += int64(n)
	q.bytes -= int64(n)
	for n > 0 {
		first := &q.waiting[0]
		rest := first.Len() - q.offset
		if n < rest {
			q.offset += n
			break
		}
		n -= rest
		q.offset = 0
		switch first.kind {
		case push, reply:
			messages++
		case last:
			q.closed = true
		}
		q.left(first)
		*first = piece{}
		q.waiting = q.waiting[1:]
	}
	if len(q.waiting) == 0 {
		q.waiting = nil
		q.one[0] = piece{} // a copy stays when waiting outgrows it
	}
	if q.slow {
		q.cut()
	}
	return messages
}

// begun is how many bytes are left of a piece that has begun to be written, or may
// be at this moment.
func (q *queue) begun() int {
	if q.offset == 0 && q.inFlight == 0 {
		return 0
	}
	return q.waiting[0].Len() - q.offset
}

// cut drops every piece that has not begun to be written, but for the last.
// Those that the writer is writing at this moment are judged again when
// it is back, see wrote: it may have taken many and written none.
func (q *queue) cut() {
	q.slow = true
	keep := q.inFlight
	if q.offset > 0 {
		keep = max(keep, 1)
	}
	q.waiting = slices.DeleteFunc(q.waiting, func(p piece) bool {
		keep--
		drop := keep < 0 && p.kind != last
		if drop {
			q.bytes -= int64(p.Len())
			q.left(&p)
		}
		return drop
	})
	q.calm()
}

// fail drops everything: there will be no more writing.
func (q *queue) fail() {
	q.failed = true
	for i := range q.waiting {
		q.left(&q.waiting[i])
	}
	q.goesOn()
	q.waiting, q.urgent = nil, nil
	q.one[0] = piece{}
	q.offset, q.inFlight, q.bytes, q.pushed, q.pushes = 0, 0, 0, 0, 0
}
