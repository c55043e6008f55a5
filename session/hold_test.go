package session

import (
	"errors"
	"slices"
	"testing"
)

// member returns a hub with this window, and a client of the channel "room" in it.
func member(r *ring) (*Hub, *Session, *wire) {
	hub, out := NewHub(), &wire{}
	hub.SetWindow(r)
	s := New("id", out)
	s.SetGap(NewMessage(false, []byte("gap")))
	_ = hub.Enter(s, Arrival{Membership: Membership{Channels: []string{"room"}}})
	return hub, s, out
}

// The client has come before the log was loaded. An entry is in the window before the worker
// reports the gap that the loading is.
func TestAHoldWhileTheLogIsLoadedLosesNoEntry(t *testing.T) {
	r := &ring{}
	hub, s, out := member(r)
	hub.Hold(s)
	r.entries = []*Command{entry(1), entry(2, Channel("room"))}
	_ = hub.Release(s)
	_ = hub.Gap(s, r.entries[0].At, true)
	_, _ = s.Deliver(r.entries[1])
	if want := []string{"gap", "2"}; !slices.Equal(out.got, want) {
		t.Errorf("got %q, want %q", out.got, want)
	}
}

// The window is emptied during the hold, and loaded after it.
func TestAHoldDuringALossReportsOneGap(t *testing.T) {
	r := &ring{entries: []*Command{entry(1)}}
	hub, s, out := member(r)
	hub.Hold(s)
	loaded := []*Command{entry(3)}
	r.entries = nil
	_ = hub.Release(s)
	r.entries = loaded
	_ = hub.Gap(s, loaded[0].At, true)
	if want := []string{"gap"}; !slices.Equal(out.got, want) {
		t.Errorf("got %q, want %q", out.got, want)
	}
}

func TestNoPositionFollowsAClose(t *testing.T) {
	hub, s, out := member(&ring{entries: []*Command{entry(1)}})
	s.Close(Close{Code: 4001})
	err := hub.Tell(s, func(Position) *Message { return NewMessage(false, []byte("at")) })
	if want := []string{"close 4001"}; !errors.Is(err, ErrEnded) || !slices.Equal(out.got, want) {
		t.Errorf("got %q and the error %v, want %q and %v", out.got, err, want, ErrEnded)
	}
}

// A release queues what an entry's delivery would have queued, and no more.
func TestAReleaseQueuesWhatIsMeant(t *testing.T) {
	except := func(n uint64) *Command {
		c := entry(n, Channel("room"))
		c.Except = []Address{Conn("id")}
		return c
	}
	r := &ring{entries: []*Command{entry(1)}}
	hub, s, out := member(r)
	hub.Hold(s)
	for n := range uint64(2 * bite) {
		r.entries = append(r.entries, except(n+2))
	}
	r.entries = append(r.entries, entry(1000, All), entry(1001, Conn("id")), entry(1002, Channel("other")), entry(1003, Channel("room")))
	if err := hub.Release(s); err != nil {
		t.Fatal(err)
	}
	if want := []string{"1000", "1001", "1003"}; !slices.Equal(out.got, want) {
		t.Errorf("got %q, want %q", out.got, want)
	}
}

// The client returns with the position before the entry that was not queued.
func TestAReleaseReportsThatTheClientIsGone(t *testing.T) {
	r := &ring{entries: []*Command{entry(1)}}
	hub, s, out := member(r)
	hub.Hold(s)
	r.entries = append(r.entries, entry(2, Channel("room")))
	out.err = errors.New("gone")
	if err := hub.Release(s); !errors.Is(err, out.err) {
		t.Errorf("got the error %v", err)
	}
	if at := hub.Position(s); at != r.entries[0].At {
		t.Errorf("the client is at %v", at)
	}
}

func TestEntriesFollowAGap(t *testing.T) {
	r := &ring{entries: []*Command{entry(5)}}
	hub, s, out := member(r)
	first := entry(2, Channel("room"))
	first.At.Tag++
	r.entries = []*Command{first}
	_ = hub.Gap(s, Position{Milli: 1, Tag: first.At.Tag}, true)
	_, _ = s.Deliver(first)
	_ = hub.Gap(s, Position{Milli: 1, Tag: first.At.Tag}, true) // it is behind that one
	if want := []string{"gap", "2"}; !slices.Equal(out.got, want) {
		t.Errorf("got %q, want %q", out.got, want)
	}
	s.Close(Close{Code: 4001})
	_ = hub.Gap(s, Position{Milli: 9, Tag: first.At.Tag}, true)
	if got := out.got[len(out.got)-1]; got != "close 4001" {
		t.Errorf("%q follows the close", got)
	}
}

// A stream with ids of the future was deleted: Redis gives smaller ones, under the same tag.
func TestAGapIsToldWhereIDsGoBack(t *testing.T) {
	r := &ring{entries: []*Command{entry(99)}}
	hub, s, out := member(r)
	r.entries = []*Command{entry(5)}
	heard := &wire{}
	later := New("later", heard)
	later.SetGap(NewMessage(false, []byte("gap")))
	_ = hub.Enter(later, Arrival{Membership: Membership{Channels: []string{"room"}}, Began: r.entries[0].At})
	for _, each := range []*Session{s, later} {
		_ = hub.Gap(each, r.entries[0].At, true)
		_, _ = each.Deliver(entry(6, Channel("room")))
	}
	if want := []string{"gap", "6"}; !slices.Equal(out.got, want) {
		t.Errorf("got %q, want %q", out.got, want)
	}
	if want := []string{"6"}; !slices.Equal(heard.got, want) {
		t.Errorf("a client that entered after the gap got %q, want %q", heard.got, want)
	}
}

// The client has room for one message between two writes.
func TestAnEntryWaitsForRoom(t *testing.T) {
	r := &ring{entries: []*Command{entry(1)}}
	hub, s, out := member(r)
	out.room = 1
	for n := uint64(2); n < 4; n++ {
		r.entries = append(r.entries, entry(n, Channel("room")))
		_, _ = s.Deliver(r.entries[n-1])
	}
	hub.Hold(s)
	r.entries = append(r.entries, entry(4, Channel("room")), entry(5, Channel("room")))
	if err := hub.Release(s); err != nil {
		t.Fatal(err)
	}
	if want := []string{"2", "3", "4", "5"}; !slices.Equal(out.got, want) {
		t.Errorf("got %q, want %q", out.got, want)
	}
}

func TestAClientThatHasLeftDoesNotEnter(t *testing.T) {
	r := &ring{entries: []*Command{entry(1), entry(2, Channel("room"))}}
	hub, out := NewHub(), &wire{err: errors.New("gone")}
	hub.SetWindow(r)
	err := hub.Enter(New("id", out), Arrival{Membership: Membership{Channels: []string{"room"}}, Last: r.entries[0].At})
	if !errors.Is(err, out.err) {
		t.Errorf("got the error %v, want %v", err, out.err)
	}
}
