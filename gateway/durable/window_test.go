package durable

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"wsfpm/session"
)

// loaded makes a live window.
func loaded(keep time.Duration, memory int64, list ...held) *window {
	w := newWindow(keep, memory)
	w.append(tagA, list)
	w.open()
	return w
}

func since(w *window, after session.Position, most int, to ...session.Address) (string, session.Position, bool) {
	list, through, known := w.Since(after, to, most, nil)
	return strings.Join(texts(list), " "), through, known
}

func TestSinceReturnsEachEntryBehindAPositionOnceAndInOrder(t *testing.T) {
	a, b := session.Channel("a"), session.User("b")
	w := loaded(time.Hour, 1<<20, held{at: pos(1, 0, tagA)}, entry(pos(1, 1, tagA), "1", a), entry(pos(2, 0, tagA), "2", b, a, b),
		entry(pos(3, 0, tagA), "3", session.User("c")), entry(pos(3, 1, tagA), "4", a, session.All), held{at: pos(4, 0, tagA)})
	for _, tt := range []struct {
		after   session.Position
		most    int
		want    string
		through session.Position
	}{
		{pos(1, 0, tagA), 10, "1 2 4", pos(4, 0, tagA)},
		{pos(1, 1, tagA), 10, "2 4", pos(4, 0, tagA)},
		{pos(3, 0, tagA), 10, "4", pos(4, 0, tagA)},
		{pos(4, 0, tagA), 10, "", pos(4, 0, tagA)},
		{pos(1, 0, tagA), 2, "1 2", pos(2, 0, tagA)},
		{pos(1, 0, tagA), 3, "1 2 4", pos(4, 0, tagA)},
	} {
		got, through, known := since(w, tt.after, tt.most, session.All, a, b, a)
		if age := w.Age(tt.after); tt.after == pos(4, 0, tagA) != (age == 0) {
			t.Errorf("what follows %v is %v old", tt.after, age)
		}
		if got != tt.want || through != tt.through || !known {
			t.Errorf("behind %v, %d at most: got %q, %v, %v, want %q, %v", tt.after, tt.most, got, through, known, tt.want, tt.through)
		}
	}
}

func TestOnlyPlacesOfThisHistoryAreKnown(t *testing.T) {
	size := size(entry(pos(1, 0, tagA), "1", session.All).command)
	w := newWindow(time.Hour, 3*size)
	if _, through, known := since(w, pos(1, 0, tagA), 1, session.All); known || !through.IsZero() || !w.Newest().IsZero() {
		t.Error("an empty window knows a position")
	}
	w.append(tagA, []held{entry(pos(1, 0, tagA), "1", session.All), entry(pos(2, 0, tagA), "2", session.All)})
	if _, _, known := since(w, pos(1, 0, tagA), 1, session.All); known || !w.Newest().IsZero() {
		t.Error("a window that is loading knows a position")
	}
	w.open()
	w.append(tagA, []held{entry(pos(3, 0, tagA), "3", session.All), entry(pos(5, 0, tagA), "5", session.All)}) // the first is dropped
	for _, tt := range []struct {
		after session.Position
		known bool
	}{
		{pos(1, 0, tagA), true}, // the last one dropped: all behind it is here
		{pos(2, 0, tagA), true},
		{pos(5, 0, tagA), true},
		{pos(0, 1, tagA), false},
		{pos(4, 0, tagA), false}, // of a lost tail
		{pos(6, 0, tagA), false},
		{pos(2, 0, tagB), false},
		{pos(2, 0, session.NoTag), false},
		{session.Position{}, false},
	} {
		got, through, known := since(w, tt.after, 10, session.All)
		if known != tt.known || !known && got != "" || through != pos(5, 0, tagA) {
			t.Errorf("%v: got %q, %v, %v, want known %v", tt.after, got, through, known, tt.known)
		}
	}
	w.append(tagB, []held{entry(pos(6, 0, tagB), "6", session.All)}) // Redis has given the history another name
	for _, after := range []session.Position{pos(5, 0, tagA), pos(5, 0, tagB)} {
		if got, through, known := since(w, after, 10, session.All); got != "6" || through != pos(6, 0, tagB) || !known {
			t.Errorf("%v after the change of name: got %q, %v, %v", after, got, through, known)
		}
	}
	w.clear()
	w.append(tagB, []held{entry(pos(6, 0, tagB), "6", session.All)})
	w.open()
	if _, _, known := since(w, pos(5, 0, tagB), 10, session.All); known {
		t.Error("what was before a gap is known")
	}
}

func TestBothBoundsHoldAndTheNewestStays(t *testing.T) {
	one := size(entry(pos(1, 0, tagA), "1", session.All).command)
	w := loaded(10*time.Millisecond, 4*one)
	if full, _ := w.full(); full {
		t.Error("an empty window is full")
	}
	for i := range uint64(8) {
		w.append(tagA, []held{entry(pos(i+1, 0, tagA), fmt.Sprint(i%10), session.All)})
	}
	if m := w.measure(); m.entries != 4 || m.bytes != 4*one || m.span != 3*time.Millisecond {
		t.Errorf("got %+v, want 4 entries", m)
	}
	w.append(tagA, []held{entry(pos(16, 0, tagA), "x", session.All)})
	if m := w.measure(); m.entries != 4 || m.span != 10*time.Millisecond {
		t.Errorf("got %+v, want those of 10 ms", m)
	}
	w.append(tagA, []held{entry(pos(99, 0, tagA), strings.Repeat("x", int(5*one)), session.User("7"))})
	if m := w.measure(); m.entries != 1 || len(w.index) != 1 {
		t.Errorf("got %+v and %d addresses, want the newest alone", m, len(w.index))
	}
	if full, oldest := w.full(); !full || oldest != pos(99, 0, tagA) {
		t.Errorf("got %v, %v", full, oldest)
	}
	w.clear()
	w.append(tagA, []held{entry(pos(100, 0, tagA), "x", session.All), entry(pos(101, 0, tagA), "x", session.All)})
	w.open()
	if full, _ := w.full(); full {
		t.Error("a window after a gap is full: it would trim the log for all nodes")
	}
}

func TestAPayloadCountsTwiceAndEachAddressOnce(t *testing.T) {
	bare := session.Command{}
	one := session.Command{To: []session.Address{session.All}, Message: session.NewMessage(false, make([]byte, 5000))}
	more := one
	more.To = append(slices.Clone(one.To), session.User("a"), session.User("b"))
	more.Except = []session.Address{session.User("c")}
	if size(nil) <= 0 || size(&bare) <= size(nil) {
		t.Errorf("no command %d bytes, one without a payload %d", size(nil), size(&bare))
	}
	if got := size(&one) - size(&bare); got < 10_000 || got > 10_500 {
		t.Errorf("a payload of 5,000 bytes for one address counts for %d", got)
	}
	if one, three := size(&one)-size(&bare)-10_000, size(&more)-size(&one); three < 3*32 || three > 3*one {
		t.Errorf("three more addresses count for %d, the first, with the payload's headers, for %d", three, one)
	}
}

// So many addresses, with names as long as they may be, take 350 bytes each.
func TestTheNamesOfAddressesCount(t *testing.T) {
	var c session.Command
	for i := range session.MaxAddresses {
		c.To = append(c.To, session.User(fmt.Sprintf("%0*d", session.MaxName, i)))
	}
	if got := size(&c); got < 340*session.MaxAddresses || got > 360*session.MaxAddresses {
		t.Errorf("%d addresses count for %d bytes", session.MaxAddresses, got)
	}
}

// The window agrees with a list that is searched from end to end.
func TestSinceAgreesWithASearch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	names := []session.Address{session.All, session.User("1"), session.User("2"), session.Channel("a"), session.Channel("b"), session.Conn("c")}
	w := loaded(300*time.Millisecond, 100_000)
	var all []held
	at := pos(1000, 0, tagA)
	for range 3000 {
		if step := r.Uint64N(3); step == 0 {
			at.Seq++
		} else {
			at = pos(at.Milli+step, 0, tagA)
		}
		e := held{at: at}
		if r.IntN(10) > 0 {
			to := []session.Address{names[r.IntN(len(names))], names[r.IntN(len(names))]}
			e = entry(at, at.ID(), to[:1+r.IntN(2)]...)
		}
		all = append(all, e)
		w.append(tagA, all[len(all)-1:])
		after := all[max(0, len(all)-1-r.IntN(400))].at
		to := []session.Address{names[r.IntN(len(names))], session.All, names[r.IntN(len(names))]}
		most := 1 + r.IntN(20)
		got, _, known := since(w, after, most, to...)
		if !known {
			if after.Compare(w.before) >= 0 {
				t.Fatalf("%v is not known; the window begins behind %v", after, w.before)
			}
			continue
		}
		var want []string
		for _, e := range all {
			if e.at.After(after) && e.command != nil && len(want) < most && slices.ContainsFunc(e.command.To, func(a session.Address) bool { return slices.Contains(to, a) }) {
				want = append(want, e.at.ID())
			}
		}
		if got != strings.Join(want, " ") {
			t.Fatalf("behind %v to %v: got %s, want %s", after, to, got, want)
		}
	}
	if m := w.measure(); m.entries > 400 || m.bytes > 100_000 {
		t.Errorf("got %+v", m)
	}
}

// A client that returns to a window of 50,000 entries and has missed 20.
func BenchmarkSince(b *testing.B) {
	w := loaded(time.Hour, 1<<30)
	to := []session.Address{session.All, session.User("7"), session.Conn("x")}
	for i := range 20 {
		to = append(to, session.Channel(fmt.Sprint("mine", i)))
	}
	var list []held
	for i := range uint64(50_000) {
		a := session.Channel(fmt.Sprint("other", i%5000))
		if i%100 == 7 && i > 48_000 {
			a = to[i/100%uint64(len(to))]
		}
		list = append(list, entry(pos(1000+i, 0, tagA), `{"order":"shipped"}`, a))
	}
	w.append(tagA, list)
	room := make([]*session.Command, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		if got, _, known := w.Since(pos(2000, 0, tagA), to, 1000, room); len(got) != 20 || !known {
			b.Fatalf("got %d, %v", len(got), known)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	w := loaded(time.Hour, 64<<20)
	list := make([]held, 0, 100)
	var n uint64
	b.ReportAllocs()
	for b.Loop() {
		list = list[:0]
		for range 100 {
			n++
			list = append(list, entry(pos(n, 0, tagA), `{"order":"shipped"}`, session.Channel("other")))
		}
		w.append(tagA, list)
	}
}
