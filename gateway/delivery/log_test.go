package delivery

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"wsfpm/session"
)

// window holds entries 1, 2, 3 … of a log.
type window struct {
	mu      sync.Mutex
	entries []*session.Command
}

func position(n int) session.Position {
	return session.Position{Milli: uint64(n), Seq: 1, Tag: session.NoTag}
}

func (w *window) Since(after session.Position, to []session.Address, most int, list []*session.Command) ([]*session.Command, session.Position, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.entries[after.Milli:] {
		if !slices.ContainsFunc(c.To, func(a session.Address) bool { return slices.Contains(to, a) }) {
			continue
		}
		if list = append(list, c); len(list) == most {
			return list, c.At, true
		}
	}
	return list, position(len(w.entries)), true
}

func (w *window) Newest() session.Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return position(len(w.entries))
}

// add appends an entry to channels.
func (w *window) add(channels ...string) *session.Command {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := position(len(w.entries) + 1)
	c := &session.Command{At: at, Message: session.NewMessageWith(session.Head{At: at}, false, fmt.Append(nil, at.Milli))}
	for _, name := range channels {
		c.To = append(c.To, session.Channel(name))
	}
	w.entries = append(w.entries, c)
	return c
}

// visitor is a client that enters with a position from the past, is held now and then, joins
// and leaves other channels, and is told its position.
type visitor struct {
	s     *session.Session
	out   *outlet
	own   string // the channel that it is in all the time
	since int
}

// stay does what a visitor does.
func (v *visitor) stay(l *lab, w *window) {
	_ = l.hub.Enter(v.s, session.Arrival{Membership: session.Membership{Channels: []string{v.own}}, Last: position(v.since)})
	for range 20 {
		switch rand.IntN(3) {
		case 0:
			l.hub.Hold(v.s)
			_ = v.s.Reply(session.NewMessage(false, []byte("reply")))
			_ = l.hub.Release(v.s)
		case 1:
			_ = l.hub.Tell(v.s, func(at session.Position) *session.Message {
				return session.NewMessage(false, fmt.Append(nil, "at ", at.Milli))
			})
		case 2:
			to := []session.Address{session.Conn(v.s.ID())}
			c := &session.Command{To: to, Join: []string{"extra"}}
			if rand.IntN(2) == 0 {
				c = &session.Command{To: to, Leave: []string{"extra"}}
			}
			l.deliver(c)
		}
	}
}

// wrong says what the visitor did not get, or got twice or out of order.
func (v *visitor) wrong(w *window) string {
	var due []int
	for i := v.since; i < len(w.entries); i++ {
		if slices.Contains(w.entries[i].To, session.Channel(v.own)) {
			due = append(due, i+1)
		}
	}
	last := v.since
	for _, got := range v.out.messages() {
		var n int
		switch {
		case got == "reply":
			continue
		case strings.HasPrefix(got, "at "):
			fmt.Sscan(got[3:], &n)
			if len(due) > 0 && due[0] <= n {
				return fmt.Sprintf("was told %d before it got %d", n, due[0])
			}
			continue
		}
		fmt.Sscan(got, &n)
		if n <= last {
			return fmt.Sprintf("got %d after %d", n, last)
		}
		last = n
		if len(due) > 0 && due[0] < n {
			return fmt.Sprintf("got %d before %d", n, due[0])
		}
		if len(due) > 0 && due[0] == n {
			due = due[1:]
		}
	}
	if len(due) > 0 {
		return fmt.Sprintf("never got %d", due[0])
	}
	return ""
}

func TestEveryEntryOfTheLogArrivesOnceAndInOrder(t *testing.T) {
	const entries, channels, visitors, at = 4000, 12, 400, 4
	l, w := newLab(t), &window{}
	l.hub.SetWindow(w)
	var all []*visitor
	var mu sync.Mutex
	var present sync.WaitGroup
	for g := range at {
		present.Go(func() {
			for i := range visitors / at {
				now := int(w.Newest().Milli)
				v := &visitor{
					out: &outlet{room: 1 + rand.IntN(20)}, own: fmt.Sprint(rand.IntN(channels)),
					since: now - rand.IntN(min(now, 200)+1),
				}
				v.s = session.New(fmt.Sprint(g, "-", i), v.out)
				v.stay(l, w)
				mu.Lock()
				all = append(all, v)
				mu.Unlock()
			}
		})
	}
	for n := range entries {
		to := []string{fmt.Sprint(rand.IntN(channels))}
		if n%5 == 0 {
			to = append(to, "extra")
		}
		c := w.add(to...) // before it is handed on
		l.deliver(c)
		if n%16 == 0 {
			l.pass(l.Reached(c.At))
		}
	}
	present.Wait()
	l.pass(l.Reached(w.Newest()))
	eventually(t, "the queues are empty", func() bool { return l.Stats().Bytes == 0 })
	for _, v := range all {
		if bad := v.wrong(w); bad != "" {
			t.Errorf("%s, in channel %s since %d: %s", v.s.ID(), v.own, v.since, bad)
		}
		if at := l.hub.Position(v.s); at != w.Newest() {
			t.Errorf("%s is at %v", v.s.ID(), at)
		}
	}
}

// pass waits for room.
func (l *lab) pass(wait func(context.Context) error) {
	l.t.Helper()
	if wait == nil {
		return
	}
	if err := wait(context.Background()); err != nil {
		l.t.Fatal(err)
	}
}

func TestAClientThatIsBeingMovedGetsTheLogAfterItsMove(t *testing.T) {
	l, w := newLab(t), &window{}
	l.hub.SetWindow(w)
	w.add("room")
	out := &outlet{}
	s := session.New("id", out)
	if err := l.hub.Enter(s, session.Arrival{Membership: session.Membership{Channels: []string{"room"}}, Began: position(1)}); err != nil {
		t.Fatal(err)
	}
	l.gate = make(chan struct{})
	l.deliver(&session.Command{To: []session.Address{session.Conn("id")}, Join: []string{"extra"}, Message: session.NewMessage(false, []byte("joined"))})
	eventually(t, "it is being moved", func() bool { return l.workers[l.hub.Shard(s)].moving.count.Load() == 1 })
	l.deliver(w.add("room"))
	l.deliver(w.add("extra"))
	l.send("fast", session.Conn("id"))
	l.pass(l.Reached(w.Newest())) // after all of these in the shard's queue
	eventually(t, "the shard has come so far", func() bool { return l.hub.Position(session.New("id", out)) == w.Newest() })
	if at := l.hub.Position(s); at != position(1) {
		t.Errorf("while it is moved it is at %v", at)
	}
	close(l.gate)
	eventually(t, "all has come", func() bool { return len(out.messages()) == 4 })
	if got := strings.Join(out.messages(), "|"); got != "joined|fast|2|3" {
		t.Errorf("got %s", got)
	}
	eventually(t, "it has come so far", func() bool { return l.hub.Position(s) == w.Newest() })
}

func TestABugAfterAMoveIsSurvivedAndClosesTheClient(t *testing.T) {
	l, w := newLab(t), &window{}
	l.hub.SetWindow(w)
	w.add("room")
	var clients []*outlet
	for _, id := range []string{"a", "b"} {
		out := &outlet{}
		if err := l.hub.Enter(session.New(id, out), session.Arrival{Membership: session.Membership{Channels: []string{"room"}}, Began: position(1)}); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, out)
	}
	l.gate = make(chan struct{})
	l.deliver(&session.Command{To: []session.Address{session.Conn("a")}, Join: []string{"extra"}, Message: session.NewMessage(false, []byte("joined"))})
	eventually(t, "it is being moved", func() bool { return l.workers[l.hub.Shard(l.hub.Conn("a"))].moving.count.Load() == 1 })
	w.add("extra").Message = session.NewMessage(false, []byte("panic"))
	close(l.gate)
	eventually(t, "the client is closed", func() bool { return clients[0].code() == 1011 })
	l.send("fast", session.All)
	eventually(t, "the other one is served", func() bool { return slices.Equal(clients[1].messages(), []string{"fast"}) })
	eventually(t, "the panic is reported", func() bool { return l.panics.Load() == 1 })
}

func TestAGapIsToldToThoseWhoCameBeforeIt(t *testing.T) {
	l, w := newLab(t), &window{}
	l.hub.SetWindow(w)
	w.add("room")
	before, after := &outlet{}, &outlet{}
	enter := func(id string, out *outlet, began int) {
		s := session.New(id, out)
		s.SetGap(session.NewMessage(false, []byte("gap")))
		if err := l.hub.Enter(s, session.Arrival{Membership: session.Membership{Channels: []string{"room"}}, Began: position(began)}); err != nil {
			t.Fatal(err)
		}
	}
	enter("a", before, 1)
	for range 9 {
		w.add("other")
	}
	enter("b", after, 10)
	l.pass(l.Gap(position(5), true))
	l.deliver(w.add("room"))
	eventually(t, "the entry has come", func() bool { return len(before.messages()) == 2 && len(after.messages()) == 1 })
	if a, b := before.messages(), after.messages(); a[0] != "gap" || a[1] != "11" || b[0] != "11" {
		t.Errorf("got %v and %v", a, b)
	}
}
