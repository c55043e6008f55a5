package delivery

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"wsfpm/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outlet records what a client is sent, and how often it is written to.
type outlet struct {
	mu      sync.Mutex
	got     []string
	flushed int // writes that had something to write
	unsent  int
	bytes   int  // unsent
	limit   int  // bytes that may be unsent beside another message; 0: any number
	room    int  // messages that may be unsent; 0: any number
	broken  bool // Flush panics, once
	bug     bool // QueueReply panics
	slow    bool // the limit was reached
	closed  int
	hold    chan struct{} // Queue waits for it; nil: it does not
}

func (*outlet) Prefetch() {}
func (o *outlet) Queue(m *session.Message) error {
	if o.hold != nil {
		<-o.hold
	}
	o.mu.Lock()
	full := o.room > 0 && o.unsent >= o.room
	o.mu.Unlock()
	if full {
		return session.ErrFull
	}
	return o.QueueReply(m)
}

func (o *outlet) QueueReply(m *session.Message) error {
	if o.bug || string(m.Data()) == "panic" {
		panic("a bug")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.got = append(o.got, string(m.Data()))
	o.unsent++
	o.bytes += len(m.Data())
	if o.limit > 0 && o.unsent > 1 && o.bytes > o.limit {
		o.slow = true
	}
	return nil
}

func (o *outlet) Flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unsent > 0 {
		o.flushed++
	}
	o.unsent, o.bytes = 0, 0
	if o.broken {
		o.broken = false
		panic("a bug")
	}
}

func (o *outlet) Close(code int, _ string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = code
}

func (o *outlet) messages() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.got)
}

func (o *outlet) code() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

// lab is a fanout over a hub of its own. Moves join and leave in the hub only, and
// wait for gate while that is not nil.
type lab struct {
	*Fanout
	t      testing.TB
	hub    *session.Hub
	gate   chan struct{}
	panics atomic.Int64
	count  atomic.Int64 // deliveries
}

func newLab(t testing.TB) *lab {
	l := &lab{t: t, hub: session.NewHub()}
	l.Fanout = New(l.hub, Options{
		Move:      l.move,
		Delivered: &l.count,
		Patience: func() (context.Context, context.CancelFunc) {
			return context.WithCancel(context.Background())
		},
		Recovered: func() {
			if recover() != nil {
				l.panics.Add(1)
			}
		},
	})
	t.Cleanup(l.Close)
	return l
}

func (l *lab) move(_ context.Context, s *session.Session, c *session.Command) bool {
	s.LockChanges()
	defer s.UnlockChanges()
	if l.gate != nil {
		<-l.gate
	}
	next, err := s.Membership().With(session.Command{Join: c.Join, Leave: c.Leave}, 0)
	if err != nil {
		l.t.Error(err)
	}
	meant, _ := l.hub.Move(s, c, next)
	return meant
}

func (l *lab) enter(id string, channels ...string) *outlet {
	l.t.Helper()
	o := &outlet{}
	if err := l.hub.Add(session.New(id, o), session.Membership{User: "u" + id, Channels: channels}); err != nil {
		l.t.Fatal(err)
	}
	return o
}

func (l *lab) deliver(c *session.Command) {
	l.t.Helper()
	if wait := l.Deliver(c); wait != nil {
		if err := wait(context.Background()); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *lab) send(data string, to ...session.Address) {
	l.t.Helper()
	l.deliver(&session.Command{To: to, Message: session.NewMessage(false, []byte(data))})
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func (l *lab) idle() {
	l.t.Helper()
	eventually(l.t, "nothing waits", func() bool { return l.Stats().Bytes == 0 })
}

func TestEachClientGetsOneCopyInOrder(t *testing.T) {
	l := newLab(t)
	var outs []*outlet
	for i := range 300 {
		outs = append(outs, l.enter(fmt.Sprint(i), "room", "news"))
	}
	var want []string
	for i := range 200 {
		data := fmt.Sprint(i)
		want = append(want, data)
		switch i % 4 {
		case 0:
			l.send(data, session.Channel("room"))
		case 1:
			l.send(data, session.Channel("news"), session.Channel("room"), session.User("u7"), session.Conn("7"))
		case 2:
			l.send(data, session.User("u7"), session.All)
		case 3:
			l.send(data, session.Channel("news"))
		}
	}
	l.idle()
	for i, o := range outs {
		if got := o.messages(); !slices.Equal(got, want) {
			t.Fatalf("client %d got %d messages, want %d: %v", i, len(got), len(want), got)
		}
	}
	if got := l.count.Load(); got != 300*200 {
		t.Errorf("%d deliveries are counted, want %d", got, 300*200)
	}
}

func TestOnlyMatchingClientsGetIt(t *testing.T) {
	l := newLab(t)
	in, out := l.enter("1", "a"), l.enter("2", "b")
	l.deliver(&session.Command{
		To: []session.Address{session.All}, Except: []session.Address{session.User("u2")},
		Message: session.NewMessage(false, []byte("x")), Close: &session.Close{Code: 4000},
	})
	l.send("none", session.Channel("c"), session.User("none"), session.Conn("none"))
	l.send("late", session.Conn("1"), session.Conn("2"))
	l.idle()
	if got := in.messages(); !slices.Equal(got, []string{"x"}) || in.closed != 4000 {
		t.Errorf("the client that was closed got %v, closed with %d", got, in.closed)
	}
	if got := out.messages(); !slices.Equal(got, []string{"late"}) || out.closed != 0 {
		t.Errorf("the client that was excepted got %v, closed with %d", got, out.closed)
	}
}

func TestAFullQueueWaitsAndReportsIt(t *testing.T) {
	l := newLab(t)
	o := l.enter("1")
	o.hold = make(chan struct{})
	c := &session.Command{To: []session.Address{session.Conn("1")}, Message: session.NewMessage(false, []byte(strings.Repeat("x", 1<<20)))}
	var wait func(context.Context) error
	for n := 0; wait == nil; n++ {
		if wait = l.Deliver(c); n > 32 {
			t.Fatalf("%d MiB wait for one worker", n)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := wait(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
	if s := l.Stats(); s.Bytes > maxBytes || s.Stalls != 1 {
		t.Errorf("stats %+v, at most %d bytes may wait", s, maxBytes)
	}
	done := make(chan error)
	go func() { done <- wait(t.Context()) }()
	close(o.hold)
	if err := <-done; err != nil {
		t.Error(err)
	}
	l.idle()
}

// The memory of a command counts also when it has no message.
func TestCommandsWithoutAMessageAreBounded(t *testing.T) {
	l := newLab(t)
	o := l.enter("1")
	o.hold = make(chan struct{})
	l.send("x", session.Conn("1"))
	for n := 0; l.Deliver(&session.Command{To: []session.Address{session.Conn("1")}, Close: &session.Close{Code: 4000}}) == nil; n++ {
		if n > maxBytes/taskSize {
			t.Fatalf("%d commands wait for one worker", n)
		}
	}
	close(o.hold)
	l.idle()
}

func TestAMoveHoldsUpItsOwnClientOnly(t *testing.T) {
	l := newLab(t)
	l.gate = make(chan struct{})
	moved, other := l.enter("moved"), l.enter("other")
	l.send("before", session.All)
	l.deliver(&session.Command{To: []session.Address{session.Conn("moved")}, Join: []string{"room"}, Message: session.NewMessage(false, []byte("joined"))})
	l.send("room", session.Channel("room"))
	l.send("after", session.All)
	l.deliver(&session.Command{To: []session.Address{session.Conn("moved")}, Leave: []string{"room"}, Message: session.NewMessage(false, []byte("left"))})
	l.send("last", session.All)
	eventually(t, "the other client has everything", func() bool { return slices.Equal(other.messages(), []string{"before", "after", "last"}) })
	if got := moved.messages(); !slices.Equal(got, []string{"before"}) {
		t.Errorf("the client that moves got %v before the move", got)
	}
	close(l.gate)
	l.idle()
	if got := moved.messages(); !slices.Equal(got, []string{"before", "joined", "room", "after", "left", "last"}) {
		t.Errorf("the client that moved got %v", got)
	}
}

func TestCloseDropsWhatWaits(t *testing.T) {
	l := newLab(t)
	o := l.enter("1")
	o.hold = make(chan struct{})
	for range 10 {
		l.send("x", session.Conn("1"))
	}
	blocked := make(chan error)
	big := &session.Command{To: []session.Address{session.Conn("1")}, Message: session.NewMessage(false, make([]byte, maxBytes))}
	wait := l.Deliver(big)
	go func() { blocked <- wait(context.Background()) }()
	closed := make(chan struct{})
	go func() { l.Close(); close(closed) }()
	if err := <-blocked; err != nil {
		t.Error(err)
	}
	close(o.hold)
	<-closed
	l.send("y", session.Conn("1"))
	if got := o.messages(); len(got) > 10 {
		t.Errorf("after Close a client got %d messages", len(got))
	}
}

// Everything at once, for the race detector: each client's messages stay in order.
func TestOrderUnderChurn(t *testing.T) {
	l := newLab(t)
	stop := make(chan struct{})
	var churn sync.WaitGroup
	stayed := l.enter("stayed", "room")
	for w := range 4 {
		churn.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				s := session.New(fmt.Sprintf("c%d-%d", w, i), &outlet{})
				_ = l.hub.Add(s, session.Membership{Channels: []string{"room"}})
				if i%2 == 0 {
					l.deliver(&session.Command{To: []session.Address{session.Conn(s.ID())}, Join: []string{"x"}, Leave: []string{"room"}})
				}
				l.hub.Remove(s)
				runtime.Gosched()
			}
		})
	}
	var want []string
	for i := range 3000 {
		want = append(want, fmt.Sprint(i))
		l.send(fmt.Sprint(i), session.Channel("room"))
	}
	close(stop)
	churn.Wait()
	l.idle()
	if got := stayed.messages(); !slices.Equal(got, want) {
		t.Errorf("the client that stayed got %d messages, want %d in order", len(got), len(want))
	}
}

type sink struct{}

func (sink) Prefetch()                         {}
func (sink) Queue(*session.Message) error      { return nil }
func (sink) QueueReply(*session.Message) error { return nil }
func (sink) Flush()                            {}
func (sink) Close(int, string)                 {}

// BenchmarkDeliver is a push to a channel, sockets aside.
func BenchmarkDeliver(b *testing.B) {
	for _, n := range []int{1, 2, 2000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := newLab(b)
			for i := range n {
				_ = l.hub.Add(session.New(fmt.Sprint(i), sink{}), session.Membership{Channels: []string{"room"}})
			}
			c := &session.Command{To: []session.Address{session.Channel("room")}, Message: session.NewMessage(false, []byte("hello"))}
			b.ReportAllocs()
			var want int64
			for b.Loop() {
				l.deliver(c)
				want += int64(n)
				for want-l.count.Load() > int64(32*n) { // half a batch may wait
					runtime.Gosched()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/delivery")
		})
	}
}
