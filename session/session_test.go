package session

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// outlet records what a client is sent.
type outlet struct {
	mu     sync.Mutex
	got    []string
	closed int
	err    error
}

func (*outlet) Prefetch()                {}
func (o *outlet) Queue(m *Message) error { return o.QueueReply(m) }

func (o *outlet) QueueReply(m *Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	o.got = append(o.got, string(m.Data()))
	return nil
}

func (o *outlet) Flush() {}

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

func text(s string) *Message { return NewMessage(false, []byte(s)) }

// indexed is how many names the hub has in its index.
func indexed(h *Hub) (n int) {
	for i := range h.stripes {
		n += len(h.stripes[i].conns) + len(h.stripes[i].topics)
	}
	return n
}

func push(h *Hub, s string, to ...Address) (delivered int) {
	c := &Command{To: to, Message: text(s)}
	for _, each := range h.Find(c.To) {
		if meant, _ := each.Deliver(c); meant {
			delivered++
		}
	}
	return delivered
}

func set(t *testing.T, h *Hub, s *Session, c Command) {
	t.Helper()
	s.LockChanges()
	defer s.UnlockChanges()
	next, err := s.Membership().With(c, 64)
	if err != nil {
		t.Fatal(err)
	}
	var messages []*Message
	if c.Message != nil {
		messages = append(messages, c.Message)
	}
	if err := h.Set(s, next, messages...); err != nil {
		t.Fatal(err)
	}
}

func TestDeliverReachesEveryAddressOnce(t *testing.T) {
	h := NewHub()
	var out outlet
	s := New("n-1", &out)
	if err := h.Add(s, Membership{User: "7", Channels: []string{"a", "b"}}); err != nil {
		t.Fatal(err)
	}
	for _, to := range [][]Address{{All}, {Conn("n-1")}, {User("7")}, {Channel("a")}, {Channel("a"), Channel("b"), User("7"), All}} {
		if got := push(h, "x", to...); got != 1 {
			t.Errorf("push to %v reached %d clients, want 1", to, got)
		}
	}
	for _, to := range [][]Address{{Conn("n-2")}, {User("8")}, {User("")}, {Channel("c")}} {
		if got := push(h, "x", to...); got != 0 {
			t.Errorf("push to %v reached %d clients, want 0", to, got)
		}
	}
	if got := len(out.messages()); got != 5 {
		t.Errorf("got %d messages, want 5", got)
	}
}

func TestExceptWins(t *testing.T) {
	h := NewHub()
	outs := map[string]*outlet{}
	for _, id := range []string{"1", "2", "3"} {
		outs[id] = &outlet{}
		if err := h.Add(New(id, outs[id]), Membership{User: "u" + id, Channels: []string{"room"}}); err != nil {
			t.Fatal(err)
		}
	}
	c := &Command{To: []Address{Channel("room")}, Except: []Address{Self, User("u3")}, Message: text("x")}
	resolved := c.Resolve("1")
	if slices.Contains(resolved.Except, Self) || !slices.Contains(c.Except, Self) {
		t.Fatalf("resolve: got %v from %v", resolved.Except, c.Except)
	}
	for _, s := range h.Find(resolved.To) {
		_, _ = s.Deliver(&resolved)
	}
	for id, want := range map[string]int{"1": 0, "2": 1, "3": 0} {
		if got := len(outs[id].messages()); got != want {
			t.Errorf("client %s got %d messages, want %d", id, got, want)
		}
	}
}

// A push to a joined address never comes before the reply that joined it, one
// to a left address never after the reply that left it.
func TestChangeAndReplyAreOneStep(t *testing.T) {
	h := NewHub()
	var out outlet
	s := New("1", &out)
	if err := h.Add(s, Membership{}, text("hello")); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var pushing sync.WaitGroup
	for range 4 {
		pushing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					push(h, "push", Channel("room"))
				}
			}
		})
	}
	for range 2000 {
		set(t, h, s, Command{Join: []string{"room"}, Message: text("joined")})
		set(t, h, s, Command{Leave: []string{"room"}, Message: text("left")})
	}
	close(stop)
	pushing.Wait()
	joined := false
	for i, m := range out.messages() {
		switch m {
		case "joined":
			joined = true
		case "left":
			joined = false
		case "push":
			if !joined {
				t.Fatalf("message %d is a push to a channel that the client is not in", i)
			}
		}
	}
}

func TestRemoveGivesUpEverythingOnce(t *testing.T) {
	h := NewHub()
	s := New("1", &outlet{})
	if err := h.Add(s, Membership{User: "u", Channels: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	left := h.Remove(s)
	want := []Address{User("u"), Channel("a"), Conn("1")}
	if !slices.Equal(left, want) {
		t.Errorf("gave up %v, want %v", left, want)
	}
	if again := h.Remove(s); again != nil {
		t.Errorf("the second time gave up %v", again)
	}
	if err := h.Set(s, Membership{User: "other", Channels: []string{"b"}}); !errors.Is(err, ErrEnded) {
		t.Errorf("set after the end: got %v, want ErrEnded", err)
	}
	if got := s.Membership().User; got != "other" {
		t.Errorf("the disconnect event sees user %q, want the last one", got)
	}
	if indexed(h) != 0 || h.Len() != 0 {
		t.Errorf("the hub keeps %d names and %d sessions", indexed(h), h.Len())
	}
}

// A walk over a set that changes meanwhile misses no member that stays.
func TestAWalkOverMembersMissesNoneThatStay(t *testing.T) {
	h := NewHub()
	var all []*Session
	for i := range 1000 {
		s := New(fmt.Sprint(i), &outlet{})
		all = append(all, s)
		if err := h.Add(s, Membership{Channels: []string{"room"}}); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(map[*Session]bool)
	var turn int
	h.Match(Channel("room"), func(m *Members) {
		var room [7]*Session
		for n, at := m.Before(math.MaxInt, room[:]); n > 0; n, at = m.Before(at, room[:]) {
			for _, s := range room[:n] {
				seen[s] = true
			}
			for range 5 { // at both ends and in the middle
				if turn++; turn%3 != 0 && turn < len(all) {
					h.Remove(all[(turn*7)%len(all)])
				}
			}
			if err := h.Add(New(fmt.Sprint("late", turn), &outlet{}), Membership{Channels: []string{"room"}}); err != nil {
				t.Fatal(err)
			}
		}
	})
	for i, s := range all {
		if s.present && !seen[s] {
			t.Errorf("member %d, which stayed, was not seen", i)
		}
	}
	for _, s := range h.Find([]Address{All}) {
		h.Remove(s)
	}
	if indexed(h) != 0 || h.Len() != 0 {
		t.Errorf("%d names and %d sessions are left", indexed(h), h.Len())
	}
}

func TestMembershipMovesBetweenChannels(t *testing.T) {
	user := "u"
	tests := []struct {
		from    []string
		command Command
		want    []string
	}{
		{nil, Command{Join: []string{"a", "b", "a"}}, []string{"a", "b"}},
		{[]string{"a", "b"}, Command{Leave: []string{"a"}}, []string{"b"}},
		{[]string{"a", "b"}, Command{Leave: []string{"*"}, Join: []string{"c"}}, []string{"c"}},
		{[]string{"a"}, Command{Leave: []string{"x"}, User: &user}, []string{"a"}},
	}
	for _, test := range tests {
		got, err := Membership{Channels: test.from}.With(test.command, 3)
		if err != nil || !slices.Equal(got.Channels, test.want) {
			t.Errorf("%v with %+v: got %v, %v, want %v", test.from, test.command, got.Channels, err, test.want)
		}
	}
	if _, err := (Membership{Channels: []string{"a", "b", "c"}}).With(Command{Join: []string{"d"}}, 3); err == nil {
		t.Error("a fourth channel of three was joined")
	}
	if _, err := (Membership{Channels: []string{"a", "b", "c"}}).With(Command{Leave: []string{"a"}, Join: []string{"d"}}, 3); err != nil {
		t.Errorf("a move within the limit: %v", err)
	}
}

func TestAMoveIsAPushToWhoIsStillMeant(t *testing.T) {
	h := NewHub()
	var out outlet
	s := New("1", &out)
	if err := h.Add(s, Membership{Channels: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	c := &Command{To: []Address{Channel("a")}, Leave: []string{"a"}, Message: text("out")}
	if meant, err := h.Move(s, c, Membership{}); !meant || err != nil {
		t.Fatalf("got %v, %v", meant, err)
	}
	if meant, _ := h.Move(s, c, Membership{Channels: []string{"x"}}); meant || len(s.Membership().Channels) != 0 {
		t.Errorf("a client that has left was moved to %v", s.Membership().Channels)
	}
	if got := out.messages(); !slices.Equal(got, []string{"out"}) || indexed(h) != 1 {
		t.Errorf("got %q, %d names", got, indexed(h))
	}
}

func TestAClosingClientIsNotFound(t *testing.T) {
	h := NewHub()
	var out outlet
	s := New("1", &out)
	if err := h.Add(s, Membership{}); err != nil {
		t.Fatal(err)
	}
	c := &Command{To: []Address{All}, Message: text("bye"), Close: &Close{Code: 4000}}
	if meant, _ := s.Deliver(c); !meant || out.closed != 4000 {
		t.Errorf("meant %v, closed with %d", meant, out.closed)
	}
	if got := push(h, "x", All); got != 0 || s.Matches(c) || len(out.messages()) != 1 {
		t.Errorf("a push reached %d clients after their close, got %v", got, out.messages())
	}
}

// buggyOutlet has a bug in QueueReply.
type buggyOutlet struct{ sink }

func (buggyOutlet) QueueReply(*Message) error { panic("a bug") }

// The caller survives a bug in an outlet, and so must the session's lock.
func TestABugInAnOutletLeavesNoLockHeld(t *testing.T) {
	h := NewHub()
	s := New("1", buggyOutlet{})
	if err := h.Add(s, Membership{}); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = h.Set(s, Membership{User: "42"}, NewMessage(false, nil))
	}()
	if !s.mu.TryLock() {
		t.Fatal("the session is locked for ever")
	}
	s.mu.Unlock()
	if left := h.Remove(s); len(left) != 2 {
		t.Errorf("gave up %v, want the user and the connection", left)
	}
}

// The next larger size that Go allocates is 208 bytes, for each of a million clients.
func TestASessionFitsItsSizeClass(t *testing.T) {
	if size := unsafe.Sizeof(Session{}); size > 192 {
		t.Errorf("a Session has %d bytes, more than 192", size)
	}
}

// The membership is the last field that a delivery uses.
func TestADeliveryNeedsTheHotPartOfASession(t *testing.T) {
	var s Session
	if end := unsafe.Offsetof(s.membership) + unsafe.Sizeof(s.membership); end > hot {
		t.Errorf("the membership ends at byte %d of a Session, after the first %d", end, hot)
	}
}
