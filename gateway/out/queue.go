package out

import (
	"container/list"
	"slices"

	"wsfpm/session"
)

// kind is the kind of a queued piece.
type kind uint8

const (
	push    kind = iota + 1 // a message that counts towards Limits
	reply                   // any other message
	control                 // not a message
	urgent                  // a control that precedes other pieces
	last
)

// piece is an indivisible unit of output.
type piece struct {
	*session.Encoding // shared by all clients that receive the push
	kind              kind
}

// queue is the output queue. It is guarded by Outlet.mu.
type queue struct {
	waiting []piece
	one     [1]piece          // the memory of waiting for a single piece
	offset  int               // bytes of waiting[0] already written
	urgent  *session.Encoding // precedes the next piece; replaced by a newer one

	sent   int64 // bytes written
	bytes  int64 // of all pieces, minus offset
	pushed int64 // of pushes
	pushes int   // number of pushes

	inFlight uint8 // pieces passed to the current write, at most atATime

	closing bool // the last piece is queued or written
	closed  bool // the last piece is written
	failed  bool // nothing more is written
	slow    bool // cut was called: pieces in flight that are not written are dropped too
	stalled bool // the writer waits for the client, and all pieces count in outgoing

	outgoing *Outgoing
	place    *list.Element // in outgoing.stalled; guarded by outgoing.mu
}

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

// left subtracts a piece that was written or dropped from all sums except bytes.
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

// hurry sets the urgent piece, replacing one that is still queued.
func (q *queue) hurry(e *session.Encoding) {
	q.calm()
	q.urgent = e
	q.bytes += int64(e.Len())
}

// calm drops the urgent piece.
func (q *queue) calm() {
	if q.urgent != nil {
		q.bytes -= int64(q.urgent.Len())
		q.urgent = nil
	}
}

func (q *queue) empty() bool { return len(q.waiting) == 0 && q.urgent == nil }

// gather fills bufs with the next bytes to write, one piece each, and returns their number
// and sum. The urgent piece precedes the first piece that has not begun.
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
	q.inFlight = uint8(n)
	return n, size
}

// putUrgent inserts the urgent piece, or replaces an older one that is still queued.
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

// wrote removes n bytes from the front and returns the number of messages completed.
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

// begun returns the unwritten bytes of a piece that has begun, or may be in a write now.
func (q *queue) begun() int {
	if q.offset == 0 && q.inFlight == 0 {
		return 0
	}
	return q.waiting[0].Len() - q.offset
}

// cut drops every piece that has not begun to be written, except the last. Pieces in flight
// are kept until wrote, because the write may be partial.
func (q *queue) cut() {
	q.slow = true
	keep := int(q.inFlight)
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

// fail drops all pieces and ends writing.
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
