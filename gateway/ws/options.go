package ws

import (
	"sync"
	"sync/atomic"
	"time"

	"wsfpm/gateway/out"
	"wsfpm/session"
)

// Errors of [Conn.Queue] and [Conn.QueueReply], as [out.Outlet] describes them.
var (
	ErrClosed = out.ErrClosed
	ErrSlow   = out.ErrSlow
)

// Limits bound a connection. A limit of zero is none. Many connections may
// share one value; it must not be changed any more, see [Conn.SetLimits].
type Limits struct {
	// MessageLimit is the size of the largest message taken, in bytes. A
	// larger one closes the connection with 1009.
	MessageLimit int64
	// Out bounds what waits for the client. More closes the connection with 4408.
	Out out.Limits
	// PingInterval is the time between pings, give or take a tenth.
	PingInterval time.Duration
	// PongTimeout is how long the client may say nothing after it has taken a
	// ping, while Read is waiting for it. Then the connection ends as lost.
	PongTimeout time.Duration
	// MaxFragments is how many frames of less than a KiB one message may come
	// in; more close the connection with 1008.
	MaxFragments int
	// AssemblyTimeout is how long a message may take from the first wait for
	// its rest to its end, waits for Shared.Memory aside; longer closes the
	// connection with 1008.
	AssemblyTimeout time.Duration
	// ControlRate is how many pings and pongs a second are taken, ControlBurst
	// how many at once; more close the connection with 1008. A rate of zero
	// takes any number.
	ControlRate  float64
	ControlBurst int
	// Compression lets Negotiate agree on permessage-deflate (RFC 7692).
	// Changing it later has no effect.
	Compression bool
}

// Shared is what the connections of a process have in common. Make it with
// [NewShared].
type Shared struct {
	// Memory bounds the messages that are being received, all connections
	// together.
	Memory *out.Budget
	// Outgoing bounds what waits for clients, all connections together; there is
	// no bound until Resize.
	Outgoing *out.Outgoing
	// Wheel is the connections' clock, and what they borrow.
	Wheel *Wheel
	// Stats counts for all of them.
	Stats *Stats

	outlets         out.Shared
	plain, deflated *session.Encoder
	inflaters       inflaters
}

// NewShared makes what connections share, with a budget of so many bytes for
// messages; 0 is no bound. Its wheel is to be stopped when the last connection
// has ended.
func NewShared(memory int64) *Shared {
	plain := plainEncoder()
	s := &Shared{
		Memory: out.NewBudget(memory), Outgoing: new(out.Outgoing), Wheel: newWheel(), Stats: new(Stats),
		plain: plain, deflated: deflateEncoder(plain),
	}
	s.outlets = out.Shared{
		Outgoing: s.Outgoing, Scheduler: s.Wheel.Scheduler, Stats: &s.Stats.Stats,
		TooSlow: session.NewEncoding(closeFrame(slowCode, slowReason)),
	}
	return s
}

// Wheel is what the connections of a process share beside bounds and counts: the
// scheduler, spare read buffers and libraries, and the watch over those that are
// parked, which has a goroutine.
type Wheel struct {
	*out.Scheduler
	buffers sync.Pool // of *[inputBuffer]byte
	spares  chan *library
	watch   watcher
}

func newWheel() *Wheel {
	return &Wheel{Scheduler: out.NewScheduler(), spares: make(chan *library, mostSpares)}
}

// Stop ends the scheduler and the watch, and waits for their goroutines.
func (w *Wheel) Stop() {
	w.watch.stop()
	w.Scheduler.Stop()
}

// Conn is one WebSocket connection on the server's side. All methods may be
// called at the same time, but for Read and Next, which belong to one goroutine
// at a time, and Negotiate and Upgrade, which come once and before them. Of its methods only
// Read, Next, Drained and Upgrade wait for anything.
//
// The owner calls Read or Next until it returns an error; a connection that is not
// read is kept until Close, CloseNow, the outlet or a failed write ends it.
type Conn struct {
	shared *Shared
	limits atomic.Pointer[Limits]
	out    out.Outlet // what goes out, with the socket

	lib        *library // nil while the connection is parked
	extensions string   // permessage-deflate, as it was agreed on; else empty

	input input // what came in; owned by the goroutine in Read

	heard   atomic.Bool // bytes came in since the last ping
	watched bool        // the watcher's epoll has the socket; owned by the goroutine that parks

	mu     sync.Mutex // guards what follows; locked before the outlet's
	waker  Waker      // called when the client sends something; nil: not parked
	reads  uint32     // odd while the client is waited for, see pause
	active bool       // a Read is in progress
	kept   bool       // the input's buffer counts in Shared.Memory
	fault  error      // why reading is over; nil while it is not

	cause      cause
	peerClosed bool  // the client's Close frame came in
	owed       int   // answers that the owner is making, see BeginReply
	late       *late // the Close frame that waits for them; nil: none
	lingering  bool  // input is being thrown away until the client has gone
	open       bool  // Upgrade has succeeded
	dead       bool  // the socket is closed or about to be
	gone       bool  // the socket is closed
	todo       todo  // what to do when mu is given up, see unlock
	ended      chan struct{}

	closeDue time.Duration // when the socket is closed; 0: not at all
	pingDue  time.Duration // when the next ping is due
	probe    probe
}

// New makes a connection that has no socket yet: messages can be queued, and
// wait for Upgrade.
func New(l *Limits, s *Shared) *Conn {
	c := &Conn{shared: s}
	c.limits.Store(l)
	c.out.Init((*owner)(c), &s.outlets, &l.Out)
	c.input.held = s.Memory.Claim(&c.out.Socket)
	c.input.resting = true
	return c
}

// SetLimits puts other limits into force. What has begun under the old ones, a
// wait or a message, may end under them.
func (c *Conn) SetLimits(l *Limits) {
	old := c.limits.Swap(l)
	if old == l {
		return
	}
	c.out.SetLimits(&l.Out)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	if old.PingInterval != l.PingInterval && c.open {
		c.schedulePingLocked()
	}
	if c.out.State().Closing {
		c.boundCloseLocked()
	}
}
