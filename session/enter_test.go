package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// logged is a hub whose window holds entries 1 to n for the channel room.
func logged(n uint64) (*Hub, *ring) {
	h, r := NewHub(), &ring{}
	for i := range n {
		r.entries = append(r.entries, entry(i+1, Channel("room")))
	}
	h.SetWindow(r)
	return h, r
}

func at(n uint64) Position { return Position{Milli: n, Tag: tagSet} }

// arrive enters a client of the room, whose greeting is what it is told.
func arrive(t *testing.T, h *Hub, a Arrival) (*Session, *wire) {
	t.Helper()
	w := &wire{}
	s := New("id", w)
	a.Membership.Channels = append(a.Membership.Channels, "room")
	a.Greet = func(how Resumption, at Position) (before, behind []*Message) {
		return []*Message{text(fmt.Sprintf("%s at %d", [...]string{"new", "ok", "gap"}[how], at.Milli))}, []*Message{text("body")}
	}
	if err := h.Enter(s, a); err != nil {
		t.Fatal(err)
	}
	return s, w
}

func TestAClientThatComesBackGetsWhatItHasMissed(t *testing.T) {
	other := at(2)
	other.Tag++
	for _, test := range []struct {
		name string
		a    Arrival
		want string
	}{
		{"new", Arrival{Began: at(5)}, "new at 5|body"},
		{"new, and entries came while PHP ran", Arrival{Began: at(3)}, "new at 3|4|5|body"},
		{"back", Arrival{Last: at(2), Began: at(4)}, "ok at 2|3|4|5|body"},
		{"back, nothing missed", Arrival{Last: at(5), Began: at(5)}, "ok at 5|body"},
		{"of another history", Arrival{Last: other, Began: at(4)}, "gap at 4|5|body"},
		{"more than is allowed", Arrival{Last: at(1), Began: at(4), MostMessages: 3}, "gap at 4|5|body"},
		{"as many as are allowed", Arrival{Last: at(1), Began: at(4), MostMessages: 4}, "ok at 1|2|3|4|5|body"},
		{"more bytes than are allowed", Arrival{Last: at(1), Began: at(4), MostBytes: 2 * (Headroom + 1)}, "gap at 4|5|body"},
		{"all of it too much", Arrival{Last: at(1), Began: at(2), MostMessages: 2}, "gap at 5|body"},
		{"began in another history", Arrival{Began: other}, "gap at 5|body"},
		{"began before the log was loaded", Arrival{}, "gap at 5|body"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, _ := logged(5)
			s, w := arrive(t, h, test.a)
			if got := strings.Join(w.got, "|"); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if at := h.Position(s); at.Milli != 5 {
				t.Errorf("is at %v", at)
			}
		})
	}
}

func TestWithoutALogNothingChanges(t *testing.T) {
	h := NewHub()
	s, w := arrive(t, h, Arrival{Last: at(3)})
	h.Hold(s)
	if err := h.Release(s); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(w.got, "|"); got != "new at 0|body" || !h.Position(s).IsZero() {
		t.Errorf("got %s at %v", got, h.Position(s))
	}
}

func TestOnlyACloseThatIsNewerThanTheConnectEventCloses(t *testing.T) {
	for _, test := range []struct {
		began uint64
		want  string
	}{
		{4, "ok at 1|2|3|4|5|body"},
		{3, "ok at 1|2|3|4|5|body"}, // the entry that closes is number 3
		{2, "ok at 1|2|3|close 4001"},
	} {
		h, r := logged(5)
		r.entries[2].Close = &Close{Code: 4001}
		s, w := arrive(t, h, Arrival{Last: at(1), Began: at(test.began)})
		if got := strings.Join(w.got, "|"); got != test.want {
			t.Errorf("began at %d: got %s, want %s", test.began, got, test.want)
		}
		closed := strings.HasSuffix(test.want, "4001")
		if meant, _ := s.Deliver(&Command{To: []Address{All}, Message: text("more")}); meant == closed {
			t.Errorf("began at %d: takes more: %v", test.began, meant)
		}
	}
}

func TestAChannelMayCountFromNow(t *testing.T) {
	h, r := logged(3)
	r.entries = append(r.entries, entry(4, Channel("news")), entry(5, Channel("news"), Channel("room")))
	_, w := arrive(t, h, Arrival{Membership: Membership{Channels: []string{"news"}}, Last: at(2), Began: at(5), Live: []string{"news"}})
	if got := strings.Join(w.got, "|"); got != "ok at 2|3|5|body" {
		t.Errorf("got %s", got)
	}
}

func TestTheFormerConnectionCountsForExceptOnly(t *testing.T) {
	h, r := logged(2)
	r.entries[1].Except = []Address{Conn("former")}
	r.entries = append(r.entries, entry(3, Conn("former")))
	s, w := arrive(t, h, Arrival{Last: at(0).next(), Began: at(3), Was: "former"})
	if got := strings.Join(w.got, "|"); got != "ok at 0|1|body" {
		t.Errorf("got %s", got)
	}
	live := Command{To: []Address{Conn("former")}, Message: text("x")}
	if meant, _ := s.Deliver(&live); meant {
		t.Error("a former id is an address")
	}
	live = Command{To: []Address{All}, Except: []Address{Conn("former")}, Message: text("x")}
	if meant, _ := s.Deliver(&live); meant {
		t.Error("a push got past its own exception")
	}
}

// next is a position between p and the next millisecond.
func (p Position) next() Position { p.Seq++; return p }

// narrow is an outlet with room for a few messages between two writes.
type narrow struct {
	wire
	room, left int
}

func (n *narrow) Queue(m *Message) error {
	if n.left == 0 {
		return ErrFull
	}
	n.left--
	return n.wire.Queue(m)
}

func (n *narrow) Flush() { n.left = n.room }

func TestAHoldEndsWithAllThatWasSkippedHoweverLittleRoomThereIs(t *testing.T) {
	for _, room := range []int{1, 3, bite - 1, bite, bite + 1} {
		h, r := logged(1)
		out := &narrow{room: room, left: room}
		s := New("id", out)
		if err := h.Enter(s, Arrival{Membership: Membership{Channels: []string{"room"}}, Began: at(1)}); err != nil {
			t.Fatal(err)
		}
		h.Hold(s)
		const last = 3*bite + 1
		for n := uint64(2); n <= last; n++ {
			e := entry(n, Channel([]string{"room", "other"}[n%2]))
			r.entries = append(r.entries, e)
			if meant, _ := s.Deliver(e); meant {
				t.Fatal("a held session took an entry")
			}
		}
		h.Reached(h.Shard(s), r.Newest())
		if at := h.Position(s); at.Milli != 1 {
			t.Errorf("while it is held its position is %v", at)
		}
		if err := h.Release(s); err != nil {
			t.Fatal(err)
		}
		var want []string
		for n := 2; n <= last; n += 2 {
			want = append(want, fmt.Sprint(n))
		}
		if !slices.Equal(out.got, want) || h.Position(s).Milli != last {
			t.Errorf("room for %d: got %v at %v", room, out.got, h.Position(s))
		}
	}
}

func TestACloseEndsAHold(t *testing.T) {
	h, r := logged(1)
	s, w := arrive(t, h, Arrival{Began: at(1)})
	h.Hold(s)
	for n := uint64(2); n <= 4; n++ {
		r.entries = append(r.entries, entry(n, Channel("room")))
	}
	r.entries[2].Close = &Close{Code: 4002}
	if err := h.Release(s); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(w.got, "|"); got != "new at 1|body|2|3|close 4002" {
		t.Errorf("got %s", got)
	}
}

func TestAHistoryThatIsRenamedLosesNothing(t *testing.T) {
	h, r := logged(2)
	s, w := arrive(t, h, Arrival{Began: at(2)})
	s.SetGap(text("gap"))
	p := at(2)
	p.Tag++
	if err := h.Gap(s, p, false); err != nil {
		t.Fatal(err)
	}
	e := entry(3, Channel("room"))
	e.At.Tag++
	r.entries = append(r.entries, e)
	if meant, _ := s.Deliver(e); !meant || strings.Join(w.got, "|") != "new at 2|body|3" {
		t.Errorf("got %v", w.got)
	}
}
