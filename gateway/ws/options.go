package ws

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"wsfpm/session"
)

// Errors of [Conn.Queue] and [Conn.QueueReply].
var (
	// ErrClosed says that nothing more is accepted: a Close frame is queued
	// already, or the socket is gone.
	ErrClosed = errors.New("connection is closed")
	// ErrSlow says that the client reads too slowly: more than
	// Limits.QueueLimit would wait for it. The connection has been closed
	// with 4408.
	ErrSlow = errors.New("too slow a reader")
)

// Limits bound a connection. A limit of zero is none. Many connections may
// share one value; it must not be changed any more, see [Conn.SetLimits].
type Limits struct {
	// MessageLimit is the size of the largest message taken, in bytes. A
	// larger one closes the connection with 1009.
	MessageLimit int64
	// QueueLimit is how many bytes of pushes may wait for the client. A push
	// beyond it closes the connection with 4408.
	QueueLimit int64
	// QueueMessages is how many pushes may wait for the client. A push beyond it
	// does the same: each of them costs memory beside its bytes.
	QueueMessages int
	// WriteTimeout is how long the client may take nothing of what a write waits
	// with. Then the connection ends with 4408.
	WriteTimeout time.Duration
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
	// together, see [Budget].
	Memory *Budget
	// Outgoing bounds what waits for clients, all connections together; there is
	// no bound until Resize.
	Outgoing *Outgoing
	// Wheel is the connections' clock.
	Wheel *Wheel
	// Stats counts for all of them.
	Stats *Stats

	plain, deflated *session.Encoder
	inflaters       inflaters
}

// NewShared makes what connections share, with a budget of so many bytes for
// messages; 0 is no bound. Its wheel is to be stopped when the last connection
// has ended.
func NewShared(memory int64) *Shared {
	plain := plainEncoder()
	return &Shared{
		Memory: NewBudget(memory), Outgoing: new(Outgoing), Wheel: NewWheel(), Stats: new(Stats),
		plain: plain, deflated: deflateEncoder(plain),
	}
}

// Conn is one WebSocket connection on the server's side. All methods may be
// called at the same time, but for Read and Next, which belong to one goroutine
// at a time, and Negotiate and Upgrade, which come once and before them. Of its methods only
// Read, Next, Drained and Upgrade wait for anything.
//
// The owner calls Read or Next until it returns an error; a connection that nobody
// reads is kept until Close, CloseNow, the outbox or a failed write ends it.
type Conn struct {
	shared *Shared
	limits atomic.Pointer[Limits]

	conn net.Conn
	raw  syscall.RawConn // nil: conn has no file descriptor of ours to use
	lib  *library        // nil while the connection is parked

	extensions string // permessage-deflate, as it was agreed on; else empty

	input  input  // what came in; owned by the goroutine in Read
	writer writer // what the one who writes needs; owned by it

	heard atomic.Bool  // bytes came in since the last ping
	moved atomic.Int64 // when the last message came or went, by the wheel; 0: not open

	watched bool // the watcher's epoll has the socket; owned by who parks

	mu     sync.Mutex // guards what follows
	outbox outbox
	waker  Waker  // who is woken when the client sends something; nil: not parked
	reads  uint32 // odd while the client is waited for, see pause
	active bool   // a Read is in progress
	kept   bool   // the input's buffer counts in Shared.Memory
	fault  error  // why reading is over; nil while it is not

	cause      cause
	peerClosed bool // the client's Close frame came in
	owed       int  // answers that the owner is making, see Owe
	late       late // the Close frame that waits for them
	lingering  bool // input is being thrown away until the client has gone
	dead       bool // the socket is closed or about to be
	gone       bool // the socket is closed
	ended      chan struct{}
	todo       todo // what to do when mu is given up, see unlock

	closeDue time.Duration // when the wheel closes the socket; 0: not at all
	pingDue  time.Duration // when the next ping is due
	probe    probe

	turn int // position in the wheel's heap plus one; guarded by the wheel
}

// New makes a connection that has no socket yet: messages can be queued, and
// wait for Upgrade.
func New(l *Limits, s *Shared) *Conn {
	c := &Conn{shared: s}
	c.limits.Store(l)
	c.input.held = claim{budget: s.Memory, conn: c}
	c.input.resting = true
	c.outbox.corked = true
	c.outbox.outgoing = s.Outgoing
	return c
}

// SetLimits puts other limits into force. What has begun under the old ones, a
// wait or a message, may end under them.
func (c *Conn) SetLimits(l *Limits) {
	old := c.limits.Swap(l)
	if old == l {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakeLocked()
	if old.PingInterval != l.PingInterval && !c.outbox.corked && !c.dead {
		c.schedulePingLocked()
	}
}
