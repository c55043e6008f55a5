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
	// ErrClosed says that nothing more is accepted: the last bytes are queued
	// already, or the socket is gone.
	ErrClosed = errors.New("connection is closed")
	// ErrSlow says that the client reads too slowly: more than Limits would wait for
	// it. The connection is being closed.
	ErrSlow = errors.New("too slow a reader")
)

// Limits bound what waits for one client. A limit of zero is none. Many outlets may
// share one value; it must not be changed any more, see [Outlet.SetLimits].
type Limits struct {
	// QueueLimit is how many bytes of pushes may wait for a client that takes nothing,
	// QueueMessages how many pushes: each of them costs memory beside its bytes. One
	// more ends the connection.
	QueueLimit    int64
	QueueMessages int
	// WriteTimeout is how long the client may take nothing of what a write waits
	// with. Then the connection ends.
	WriteTimeout time.Duration
}

// Shared is what the outlets of one transport have in common. Several transports
// have the same Outgoing, Scheduler and Stats.
type Shared struct {
	Outgoing  *Outgoing
	Scheduler *Scheduler
	Stats     *Stats
	// TooSlow is the last that a client is sent which reads too slowly.
	TooSlow *session.Encoding
}

// Owner is the transport of one client. Its methods are called without a lock of
// the outlet's, and may call the outlet.
type Owner interface {
	// Tick is called at the time that [Outlet.Arm] was given, once: the owner calls
	// Arm again for each time that is still to come.
	Tick(now time.Duration)
	// Slow is called when the client is found to read too slowly, with the last bytes
	// queued. The owner closes the socket after a while if the client does not take
	// them. It reports whether that is what ends the connection: it may be ending already.
	Slow() bool
	// Done is called when writing is over: because of err, or with nil because the
	// last bytes are written. The owner closes the socket, at once or when the client
	// has answered or a time is over: the outlet does not.
	Done(err error)
	// CloseNow closes the socket, and calls [Outlet.Fail].
	CloseNow()
}

// Outlet is what waits for one client, in order, and how it is written. All methods
// may be called at the same time, but for Init and Attach; only Drained waits for anything.
type Outlet struct {
	Socket Socket // set by Attach

	shared *Shared
	owner  Owner
	limits atomic.Pointer[Limits]
	moved  atomic.Int64 // when the last message came or went, by the scheduler; 0: not open
	turn   int          // position in the scheduler's heap plus one; guarded by it, like due
	due    time.Duration
	writer writer // owned by the goroutine that writes

	mu      sync.Mutex // guards what follows; locked after the owner's
	queue   queue
	drained chan struct{} // closed when no more waits than may; nil: nothing waits for that
	open    bool          // there is a socket to write to
	writing bool          // a goroutine is the writer
	stuck   bool          // at its last write the socket took less than it was given
	full    bool          // Push has returned session.ErrFull since the last Flush
}

// Init makes an outlet that has no socket yet: what is queued waits for [Outlet.Open].
func (o *Outlet) Init(owner Owner, s *Shared, l *Limits) {
	o.owner, o.shared, o.queue.outgoing = owner, s, s.Outgoing
	o.limits.Store(l)
}

// SetLimits puts other limits into force. A wait that has begun under the old ones
// may end under them.
func (o *Outlet) SetLimits(l *Limits) {
	o.limits.Store(l)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wakeLocked()
}

// Attach gives the outlet its socket, for [Outlet.Open] or [Outlet.Fail] to come.
func (o *Outlet) Attach(s Socket) {
	o.Socket = s
	o.writer.ready = o.writeReady
}

// Open lets the outlet be written. The caller calls [Outlet.Flush] afterwards.
func (o *Outlet) Open() {
	o.mu.Lock()
	o.open = true
	o.mu.Unlock()
	o.Touch()
}

// Push adds a push to what waits. It does no I/O and never waits: a
// caller that holds no lock calls [Outlet.Flush] afterwards. A push that finds
// others waiting and would bring them above Limits ends the connection when the
// socket takes no more: what has not begun to be written is dropped,
// Shared.TooSlow is queued and ErrSlow returned. When that is not known, because they
// are still to be written, session.ErrFull is returned: the caller calls Flush, then
// Push with the same message again. What Push returns means what [session.Outlet] says.
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

// Reply adds a reply to what waits. The bound is not its matter: see
// [Outlet.Drained]. Otherwise it is like [Outlet.Push].
func (o *Outlet) Reply(e *session.Encoding) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.queue.accepts() {
		return ErrClosed
	}
	o.queue.add(e, reply)
	return nil
}

// Probe adds bytes that are no message when nothing waits, and reports whether it did.
func (o *Outlet) Probe(e *session.Encoding) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.queue.accepts() || !o.queue.empty() {
		return false
	}
	o.queue.add(e, control)
	return true
}

// Urgent adds bytes that are no message before the first that has not begun to be
// written. They take the place of earlier ones that still wait.
func (o *Outlet) Urgent(bytes []byte) {
	e := session.NewEncoding(bytes)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.queue.accepts() {
		o.queue.hurry(e)
	}
}

// Finish adds the last bytes: nothing is accepted afterwards. It reports false when
// nothing is now. The caller calls [Outlet.Flush] afterwards.
func (o *Outlet) Finish(bytes []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.queue.accepts() {
		return false
	}
	o.queue.close(session.NewEncoding(bytes))
	return true
}

// Fail drops what waits, for the socket is about to be closed. It reports whether
// the last bytes have been written.
func (o *Outlet) Fail() (finished bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	finished = o.queue.closed
	o.queue.fail()
	o.wakeLocked()
	return finished
}

// State is how far an outlet is.
type State struct {
	Closing  bool  // the last bytes are accepted: nothing may follow
	Finished bool  // and are written
	Failed   bool  // writing is over for good
	Sent     int64 // bytes that have been written
	Waiting  int64 // bytes that wait
}

// Accepts reports whether anything may still follow.
func (s State) Accepts() bool { return !s.Closing && !s.Failed }

// State is how far the outlet is now.
func (o *Outlet) State() State {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := &o.queue
	return State{q.closing, q.closed, q.failed, q.sent, q.bytes}
}

// Touch notes that a message came or went.
func (o *Outlet) Touch() { o.moved.Store(int64(o.shared.Scheduler.Now())) }

// Quiet is how long no message has come or gone. It reports false before Open.
func (o *Outlet) Quiet() (time.Duration, bool) {
	moved := o.moved.Load()
	return o.shared.Scheduler.Now() - time.Duration(moved), moved > 0
}

// Arm lets the owner have a turn at a time of the scheduler's, or earlier if it wants
// one earlier.
func (o *Outlet) Arm(at time.Duration) { o.shared.Scheduler.arm(o, at) }

// Disarm takes the owner's turn away.
func (o *Outlet) Disarm() { o.shared.Scheduler.remove(o) }
