package out

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"wsfpm/session"
)

// Errors of [Outlet.Push] and [Outlet.Reply]; Push has session.ErrFull, too.
var (
	// ErrClosed is returned when nothing more is accepted: the last bytes are queued
	// already, or the socket is closed.
	ErrClosed = errors.New("connection is closed")
	// ErrSlow is returned when the client reads too slowly and its queue exceeds Limits.
	// The connection is being closed.
	ErrSlow = errors.New("too slow a reader")
)

// Limits bound the queue of one client. A limit of zero is none. Many outlets may share one
// value; it must not be changed after use, see [Outlet.SetLimits].
type Limits struct {
	// QueueLimit bounds the bytes of queued pushes, QueueMessages their number, for a
	// client that does not read: each push costs memory beside its bytes. The first push
	// above a limit ends the connection.
	QueueLimit    int64
	QueueMessages int
	// WriteTimeout bounds the time in which the client acknowledges nothing of a waiting
	// write. After it the connection is closed.
	WriteTimeout time.Duration
}

// Shared is common to all outlets of one transport. Several transports may have the same
// Outgoing, Scheduler and Stats.
type Shared struct {
	Outgoing  *Outgoing
	Scheduler *Scheduler
	Stats     *Stats
}

// Owner is the transport of one client. Its methods, but for TooSlow, are called without any
// lock of the outlet, and may call the outlet.
type Owner interface {
	// Tick is called once at the time passed to [Outlet.Arm]. The owner calls Arm again for
	// each later time.
	Tick(now time.Duration)
	// TooSlow returns the last piece that a client gets that reads too slowly. It is called
	// with a lock of the outlet held, and must not call it.
	TooSlow() *session.Encoding
	// Slow is called when the client reads too slowly and the last bytes are queued. If the
	// client does not read them, the owner closes the socket after a time. Slow reports
	// whether it ended the connection, false if that was ending already.
	Slow() bool
	// Done is called when writing has ended: with an error, or with nil after the last
	// bytes. The owner must close the socket, at once or later; the outlet does not.
	Done(err error)
	// CloseNow closes the socket, and calls [Outlet.Fail].
	CloseNow()
}

// Outlet is the output queue of one client, and its writer. All methods except Init and
// Attach are safe for concurrent use; only Drained waits. The fields that a delivery uses are the
// first ones, up to Socket, so that a transport can prefetch them together.
type Outlet struct {
	mu      sync.Mutex // guards open, writing, stuck, full, queue and drained; locked after the owner's
	open    bool       // there is a socket to write to
	writing bool       // a goroutine is the writer
	stuck   bool       // the last write was partial
	full    bool       // Push has returned session.ErrFull since the last Flush
	turn    int32      // position in the scheduler's heap plus one; guarded by it, like due
	shared  *Shared
	limits  atomic.Pointer[Limits]
	moved   atomic.Int64 // scheduler time of the last message in either direction; 0: not open
	queue   queue
	writer  writer // owned by the goroutine that writes
	Socket  Socket // set by Attach

	owner   Owner
	drained chan struct{} // closed when the queue is within Limits; nil: no caller waits
	due     time.Duration
}

// Init prepares an outlet without a socket: pieces are queued until [Outlet.Open].
func (o *Outlet) Init(owner Owner, s *Shared, l *Limits) {
	o.owner, o.shared, o.queue.outgoing = owner, s, s.Outgoing
	o.limits.Store(l)
}

// SetLimits changes the limits. A wait that began under the old ones may end under them.
func (o *Outlet) SetLimits(l *Limits) {
	o.limits.Store(l)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wakeLocked()
}

// Attach sets the socket, before [Outlet.Open] or [Outlet.Fail].
func (o *Outlet) Attach(s Socket) {
	o.Socket = s
	o.writer.ready = o.writeReady
}

// Open permits writing. The caller calls [Outlet.Flush] afterwards.
func (o *Outlet) Open() {
	o.mu.Lock()
	o.open = true
	o.mu.Unlock()
	o.Touch()
}

// Push queues a push. It does no I/O and never waits: a caller that holds no lock calls
// [Outlet.Flush] afterwards. If the push would exceed Limits and the socket is known to
// take no more, the connection ends: the pieces that have not begun are dropped,
// Owner.TooSlow is queued and ErrSlow returned. If that is not known, because the queue is
// still to be written, Push returns session.ErrFull: the caller calls Flush, then Push with
// the same message again. [session.Outlet] describes the errors.
func (o *Outlet) Push(e *session.Encoding) error {
	o.mu.Lock()
	q := &o.queue
	switch broken := o.overLimitLocked(int64(e.Len())); {
	case !q.accepts():
		o.mu.Unlock()
		return ErrClosed
	case broken == nil:
		q.add(e, push)
		o.mu.Unlock()
		return nil
	case o.open && !o.stuck:
		o.full = true
		o.mu.Unlock()
		return session.ErrFull
	default:
		broken.Add(1)
		o.tooSlowLocked()
		o.mu.Unlock()
		o.owner.Slow()
		return ErrSlow
	}
}

// Reply queues a reply. It ignores the limits, see [Outlet.Drained]. Otherwise it is like
// [Outlet.Push].
func (o *Outlet) Reply(e *session.Encoding) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.queue.accepts() {
		return ErrClosed
	}
	o.queue.add(e, reply)
	return nil
}

// Notice queues a control piece after all others. Like them it is no message: it does not
// count in [Outlet.Quiet] or in Stats.MessagesOut. Otherwise it is like Reply.
func (o *Outlet) Notice(e *session.Encoding) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.queue.accepts() {
		return ErrClosed
	}
	o.queue.add(e, control)
	return nil
}

// Probe queues a control piece if the queue is empty, and reports whether it did.
func (o *Outlet) Probe(e *session.Encoding) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.queue.accepts() || !o.queue.empty() {
		return false
	}
	o.queue.add(e, control)
	return true
}

// Urgent queues a control piece before the first piece that has not begun to be written. It
// replaces an earlier one that is still queued.
func (o *Outlet) Urgent(bytes []byte) {
	e := session.NewEncoding(bytes)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue.accepts() {
		o.queue.hurry(e)
	}
}

// Finish queues the last bytes: nothing is accepted afterwards. It returns false if nothing
// is accepted already. The caller calls [Outlet.Flush] afterwards.
func (o *Outlet) Finish(bytes []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.queue.accepts() {
		return false
	}
	o.queue.close(session.NewEncoding(bytes))
	return true
}

// Fail drops the queue before the socket is closed. It reports whether the last bytes were
// written.
func (o *Outlet) Fail() (finished bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	finished = o.queue.closed
	o.queue.fail()
	o.wakeLocked()
	return finished
}

// State is a snapshot of an outlet.
type State struct {
	Closing  bool  // the last bytes are queued or written
	Finished bool  // the last bytes are written
	Failed   bool  // nothing more is written
	Sent     int64 // bytes written
	Waiting  int64 // bytes queued
}

// Accepts reports whether the outlet accepts more pieces.
func (s State) Accepts() bool { return !s.Closing && !s.Failed }

// State returns the current state.
func (o *Outlet) State() State {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := &o.queue
	return State{q.closing, q.closed, q.failed, q.sent, q.bytes}
}

// Touch notes that a message was sent or received.
func (o *Outlet) Touch() { o.moved.Store(int64(o.shared.Scheduler.Now())) }

// Quiet returns the time since the last message in either direction. It returns false
// before Open.
func (o *Outlet) Quiet() (time.Duration, bool) {
	moved := o.moved.Load()
	return o.shared.Scheduler.Now() - time.Duration(moved), moved > 0
}

// Arm schedules the owner's Tick at the given scheduler time, unless it is due earlier.
func (o *Outlet) Arm(at time.Duration) { o.shared.Scheduler.arm(o, at) }

// Disarm cancels the owner's Tick.
func (o *Outlet) Disarm() { o.shared.Scheduler.remove(o) }
