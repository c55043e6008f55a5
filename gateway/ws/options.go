package ws

import (
	"sync"
	"sync/atomic"
	"time"

	"wsfpm/gateway/out"
	"wsfpm/session"
)

// Errors of [Conn.Queue] and [Conn.QueueReply], see [out.Outlet].
var (
	ErrClosed = out.ErrClosed
	ErrSlow   = out.ErrSlow
)

// Limits bound a connection. A limit of zero is none. Many connections may share one value;
// it must not be changed after use, see [Conn.SetLimits].
type Limits struct {
	// MessageLimit is the maximum message size, in bytes. A larger message closes the
	// connection with 1009.
	MessageLimit int64
	// Out bounds the output queue. Exceeding it closes the connection with SlowCode.
	Out out.Limits
	// SlowCode is the close code of a client that reads too slowly. Default: 4408.
	SlowCode int
	// PingInterval is the time between pings, varied by ±10 %.
	PingInterval time.Duration
	// PongTimeout bounds the client's silence after it has received a ping, while Read
	// waits for it. Then the connection is lost (1006).
	PongTimeout time.Duration
	// MaxFragments is the maximum number of frames below 1 KiB in one message; more close
	// the connection with 1008.
	MaxFragments int
	// AssemblyTimeout bounds the time from the first wait for the rest of a message to its
	// end, except waits for Shared.Memory; after it the connection is closed with 1008.
	AssemblyTimeout time.Duration
	// ControlRate and ControlBurst are a token bucket for pings and pongs, per second and
	// at once; more close the connection with 1008. A rate of zero is unlimited.
	ControlRate  float64
	ControlBurst int
	// Compression enables permessage-deflate (RFC 7692) in Negotiate. A later change has no
	// effect.
	Compression bool
}

// Shared is common to the connections of a process. Create it with [NewShared].
type Shared struct {
	// Memory bounds the messages being received, of all connections together.
	Memory *out.Budget
	// Outgoing bounds the output queues of all connections together; it is unlimited until
	// Resize.
	Outgoing *out.Outgoing
	// Wheel holds the timers, pools and the watcher of parked connections.
	Wheel *Wheel
	Stats *Stats

	outlets         out.Shared
	plain, deflated *session.Encoder
	wrapped         wrapped
	inflaters       inflaters
}

// NewShared returns a Shared with a message budget of memory bytes; 0 is unlimited. The
// caller stops its Wheel after the last connection has ended.
func NewShared(memory int64) *Shared {
	plain, deflaters := plainEncoder(), newDeflaters()
	s := &Shared{
		Memory: out.NewBudget(memory), Outgoing: new(out.Outgoing), Wheel: newWheel(), Stats: new(Stats),
		plain: plain, deflated: deflateEncoder(plain, deflaters), wrapped: newWrapped(deflaters),
	}
	s.outlets = out.Shared{Outgoing: s.Outgoing, Scheduler: s.Wheel.Scheduler, Stats: &s.Stats.Stats}
	return s
}

// Wheel holds the scheduler, the pools of read buffers and libraries, and the watcher of
// parked connections, which has a goroutine.
type Wheel struct {
	*out.Scheduler
	buffers sync.Pool // of *[inputBuffer]byte
	spares  chan *library
	watch   watcher
	clock   func() time.Time // the wall clock
}

func newWheel() *Wheel {
	return &Wheel{Scheduler: out.NewScheduler(), spares: make(chan *library, mostSpares), clock: time.Now}
}

// Stop stops the scheduler and the watcher, and waits for their goroutines.
func (w *Wheel) Stop() {
	w.watch.stop()
	w.Scheduler.Stop()
}

// hot is the size of the fields of a Conn that a delivery uses, in bytes.
const hot = 240

// Conn is the server side of one WebSocket connection. All methods are safe for concurrent
// use, except Read and Next, which belong to one goroutine at a time, and Negotiate, Wrap
// and Upgrade, which are called once and before them. Only Read, Next, Drained and Upgrade
// wait.
//
// The owner calls Read or Next until it returns an error; a connection that is not read
// stays open until Close, CloseNow, the outlet or a failed write ends it.
//
// The fields that a delivery uses are the first ones, see [Conn.Prefetch].
type Conn struct {
	shared   *Shared
	pinged   func()      // set by Wrap: messages are sent in envelopes
	deflates bool        // permessage-deflate was negotiated
	watched  bool        // the watcher's epoll has the socket; owned by the goroutine that parks
	yields   bool        // see Next; owned by the goroutine in Read
	heard    atomic.Bool // input arrived since the last ping
	out      out.Outlet  // output queue and socket

	limits atomic.Pointer[Limits]
	lib    *library // nil while the connection is parked
	input  input    // owned by the goroutine in Read

	mu    sync.Mutex // guards what follows; locked before the outlet's
	waker Waker      // called when the client sends something; nil: not parked
	fault error      // why reading has ended, or nil
	reads uint32     // odd while waiting for the client, see pause
	owed  int32      // replies in progress, see BeginReply

	active     bool // a Read is in progress
	kept       bool // the read buffer counts in Shared.Memory
	peerClosed bool // the client sent a Close frame
	lingering  bool // input is discarded until the client closes
	open       bool // Upgrade has succeeded
	dead       bool // the socket is closed or about to be
	gone       bool // the socket is closed
	todo       todo // actions of the next unlock

	cause  cause
	late   *late   // the Close frame delayed for replies in progress, or nil
	expiry *expiry // see Expire; nil: none
	ended  chan struct{}

	closeDue time.Duration // when to close the socket; 0: never
	pingDue  time.Duration // when to send the next ping; 0: never
	probe    *probe        // nil: none
}

// New returns a connection without a socket: messages are queued until Upgrade.
func New(l *Limits, s *Shared) *Conn {
	c := &Conn{shared: s}
	c.limits.Store(l)
	c.out.Init((*owner)(c), &s.outlets, &l.Out)
	c.input.held = s.Memory.Claim(&c.out.Socket)
	c.input.resting = true
	return c
}

// SetLimits changes the limits. A wait or a message that began under the old ones may end
// under them.
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
