package ws

import (
	"container/list"
	"context"
	"slices"
	"sync/atomic"

	"wsfpm/session"
)

// kind says what a queued frame is.
type kind uint8

const (
	push kind = iota + 1
	reply
	ping
	pong
	closing
)

// queued is one whole frame that waits to be written.
type queued struct {
	frame *session.Encoding // a push's is shared by all who get it
	kind  kind
}

func (q *queued) len() int { return q.frame.Len() }

// outbox is the order of frames on their way out. It is guarded by Conn.mu.
// Whoever finds it without a writer becomes the writer, see writer.go.
type outbox struct {
	frames   []queued
	one      [1]queued // the memory of frames while no more than one waits
	offset   int       // bytes of frames[0] that are written
	inFlight int       // frames that the writer is writing at this moment
	pong     []byte    // goes before the next frame; the newest replaces it

	sent   int64 // bytes that have been written
	bytes  int64 // of all frames, less offset
	pushed int64 // of the pushes among them
	pushes int   // their number

	corked  bool // no socket yet
	writing bool // somebody is the writer
	closing bool // a Close frame is accepted: nothing may follow
	closed  bool // the Close frame is written
	failed  bool // writing is over for good
	slow    bool // cut: what the writer holds and does not get written is dropped too
	stalled bool // the writer waits for the client, and all frames count in outgoing

	outgoing *Outgoing
	place    *list.Element // in outgoing, which guards it

	drained chan struct{} // closed when bytes are within the bound; nil: nobody waits
}

// Queue adds a push behind what waits already. It does no I/O and never waits:
// a caller that holds no lock calls [Conn.Flush] afterwards. A push that finds
// others waiting and would bring them above Limits.QueueLimit or
// Limits.QueueMessages closes the connection: what has not begun to be written is
// dropped, and ErrSlow returned. It returns ErrClosed when nothing more is
// accepted.
func (c *Conn) Queue(m *session.Message) error {
	frame := c.encoding(m)
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &c.outbox
	if !o.accepts() || c.dead {
		return ErrClosed
	}
	if broken := c.overLimitLocked(int64(frame.Len())); broken != nil {
		broken.Add(1)
		c.tooSlowLocked()
		return ErrSlow
	}
	o.add(frame, push)
	return nil
}

// QueueReply adds a reply behind what waits already. The bound is not its
// matter: see [Conn.Drained]. Otherwise it is like [Conn.Queue].
func (c *Conn) QueueReply(m *session.Message) error {
	frame := c.encoding(m)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.outbox.accepts() || c.dead {
		return ErrClosed
	}
	c.outbox.add(frame, reply)
	return nil
}

// Drained waits until no more than Limits.QueueLimit bytes in no more than
// Limits.QueueMessages frames wait for the client, or the connection cannot
// write any more. Its only error is that of ctx.
func (c *Conn) Drained(ctx context.Context) error {
	for {
		c.mu.Lock()
		if c.withinLimitLocked() {
			c.mu.Unlock()
			return nil
		}
		if c.outbox.drained == nil {
			c.outbox.drained = make(chan struct{})
		}
		drained := c.outbox.drained
		c.mu.Unlock()
		select {
		case <-drained:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Buffered is how many bytes wait for the client.
func (c *Conn) Buffered() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outbox.bytes
}

// overLimitLocked is the counter of the limit for which a push of n bytes is
// one too many, or nil. A push larger than the bound passes when it waits
// alone.
func (c *Conn) overLimitLocked(n int64) *atomic.Int64 {
	o, l := &c.outbox, c.limits.Load()
	switch {
	case l.QueueLimit > 0 && o.pushed > 0 && o.pushed+n > l.QueueLimit:
		return &c.shared.Stats.QueueFull
	case l.QueueMessages > 0 && o.pushes >= l.QueueMessages:
		return &c.shared.Stats.QueueTooLong
	}
	return nil
}

// withinLimitLocked reports whether a caller of Drained may go on.
func (c *Conn) withinLimitLocked() bool {
	o, l := &c.outbox, c.limits.Load()
	few := l.QueueMessages <= 0 || len(o.frames) <= l.QueueMessages
	small := l.QueueLimit <= 0 || o.bytes <= l.QueueLimit
	return c.dead || o.failed || few && small
}

// wakeLocked wakes the callers of Drained when they may go on.
func (c *Conn) wakeLocked() {
	if c.outbox.drained != nil && c.withinLimitLocked() {
		close(c.outbox.drained)
		c.outbox.drained = nil
	}
}

// isClosing reports whether a Close frame of ours is on its way.
func (c *Conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outbox.closing
}

// queueControl adds a whole pong or Close frame.
func (c *Conn) queueControl(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &c.outbox
	if !o.accepts() {
		return
	}
	if frame[0]&0x0f == opClose {
		if !c.keepBackLocked(frame, false) {
			o.close(frame)
		}
		return
	}
	if o.pong != nil {
		o.bytes -= int64(len(o.pong))
	}
	o.pong = frame
	o.bytes += int64(len(frame))
}

// accepts reports whether a frame may still follow.
func (o *outbox) accepts() bool { return !o.closing && !o.failed }

// add appends a frame.
func (o *outbox) add(frame *session.Encoding, k kind) {
	if len(o.frames) == 0 {
		o.frames = o.one[:0]
	}
	q := queued{frame, k}
	o.frames = append(o.frames, q)
	n := int64(q.len())
	o.bytes += n
	if k == push {
		o.pushed += n
		o.pushes++
	}
	if o.stalled {
		o.outgoing.add(q.enter())
	}
}

// left takes a frame that is written or dropped out of all sums but bytes.
func (o *outbox) left(q *queued) {
	if q.kind == push {
		o.pushed -= int64(q.len())
		o.pushes--
	}
	if o.stalled {
		o.outgoing.add(q.leave())
	}
}

// close appends a Close frame, the last.
func (o *outbox) close(frame []byte) {
	o.closing = true
	o.add(session.NewEncoding(frame), closing)
}

// empty reports whether there is nothing to write.
func (o *outbox) empty() bool { return len(o.frames) == 0 && o.pong == nil }

// gather fills bufs with the next bytes to write, whole frames but for the
// rest of one that has begun, and returns how many it filled and their sum.
// A pong goes before the first frame that has not begun.
func (o *outbox) gather(bufs [][]byte) (n, size int) {
	if o.pong != nil {
		at := 0
		if o.offset > 0 {
			at = 1
		}
		o.putPong(at)
	}
	n = min(len(bufs), len(o.frames))
	for i := range n {
		bufs[i] = o.frames[i].frame.Bytes()
		size += len(bufs[i])
	}
	if n > 0 {
		bufs[0] = bufs[0][o.offset:]
		size -= o.offset
	}
	o.inFlight = n
	return n, size
}

// putPong gives the waiting pong its place in the order, which it takes from
// an older one that is still there.
func (o *outbox) putPong(at int) {
	newest := queued{session.NewEncoding(o.pong), pong}
	o.pong = nil
	switch {
	case len(o.frames) == 0:
		o.frames = append(o.one[:0], newest)
	case at < len(o.frames) && o.frames[at].kind == pong:
		o.bytes -= int64(o.frames[at].len())
		o.left(&o.frames[at])
		o.frames[at] = newest
	default:
		o.frames = slices.Insert(o.frames, at, newest)
	}
	if o.stalled {
		o.outgoing.add(newest.enter())
	}
}

// wrote takes n bytes off the front. It returns how many data frames have
// been completed.
func (o *outbox) wrote(n int) (messages int64) {
	o.inFlight = 0
	o.sent += int64(n)
	o.bytes -= int64(n)
	for n > 0 {
		first := &o.frames[0]
		rest := first.len() - o.offset
		if n < rest {
			o.offset += n
			return messages
		}
		n -= rest
		o.offset = 0
		switch first.kind {
		case push, reply:
			messages++
		case closing:
			o.closed = true
		}
		o.left(first)
		*first = queued{}
		o.frames = o.frames[1:]
	}
	if len(o.frames) == 0 {
		o.frames = nil
		o.one[0] = queued{} // a copy stays when frames outgrow it
	}
	if o.slow {
		o.cut()
	}
	return messages
}

// cut drops every frame that has not begun to be written, but for a Close
// frame. Those that the writer is writing at this moment are judged again when
// it is back, see wrote: it may have taken many and written none.
func (o *outbox) cut() {
	o.slow = true
	keep := o.inFlight
	if o.offset > 0 {
		keep = max(keep, 1)
	}
	o.frames = slices.DeleteFunc(o.frames, func(q queued) bool {
		keep--
		drop := keep < 0 && q.kind != closing
		if drop {
			o.bytes -= int64(q.len())
			o.left(&q)
		}
		return drop
	})
	if o.pong != nil {
		o.bytes -= int64(len(o.pong))
		o.pong = nil
	}
}

// fail drops everything: there will be no more writing.
func (o *outbox) fail() {
	o.failed = true
	for i := range o.frames {
		o.left(&o.frames[i])
	}
	o.goesOn()
	o.frames, o.pong = nil, nil
	o.one[0] = queued{}
	o.offset, o.inFlight, o.bytes, o.pushed, o.pushes = 0, 0, 0, 0, 0
}
