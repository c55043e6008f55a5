package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// ring is a window that never forgets.
type ring struct{ entries []*Command }

func (r *ring) Since(after Position, to []Address, most int, list []*Command) ([]*Command, Position, bool) {
	if r.Newest().Tag != after.Tag || !r.has(after) {
		return list, r.Newest(), false
	}
	for _, c := range r.entries {
		if !c.At.After(after) || !slices.ContainsFunc(c.To, func(a Address) bool { return slices.Contains(to, a) }) {
			continue
		}
		if list = append(list, c); len(list) == most {
			return list, c.At, true
		}
	}
	return list, r.Newest(), true
}

// has reports whether a position is that of an entry, or before the first.
func (r *ring) has(at Position) bool {
	return len(r.entries) == 0 || r.entries[0].At.After(at) ||
		slices.ContainsFunc(r.entries, func(c *Command) bool { return c.At.Compare(at) == 0 })
}

func (r *ring) Newest() (at Position) {
	for _, c := range r.entries {
		at = c.At
	}
	return at
}

// entry is an entry of the log for one channel.
func entry(n uint64, to ...Address) *Command {
	at := Position{Milli: n, Tag: tagSet}
	return &Command{To: to, At: at, Message: NewMessageWith(Head{At: at}, false, fmt.Append(nil, n))}
}

// wire is an outlet that notes what it is given.
type wire struct {
	got     []string
	err     error // of a message: it is not taken
	room    int   // pushes between two writes; 0: any number
	waiting int   // to be written
}

func (*wire) Prefetch() {}
func (w *wire) Queue(m *Message) error {
	if w.room > 0 && w.waiting == w.room {
		return ErrFull
	}
	return w.QueueReply(m)
}

func (w *wire) QueueReply(m *Message) error {
	if w.err == nil {
		w.got, w.waiting = append(w.got, string(m.Data())), w.waiting+1
	}
	return w.err
}

func (w *wire) Flush()                   { w.waiting = 0 }
func (w *wire) Close(code int, _ string) { w.got = append(w.got, fmt.Sprint("close ", code)) }

// world is a reader of the log, a worker and a client, each of which does one step at a time.
// Every order of their steps is tried. A broken variant leaves one rule out.
type world struct {
	broken string
	hub    *Hub
	ring   *ring
	wire   *wire
	s      *Session
	tag    Tag
	began  Position
	stored int // entries in Redis
	reader []func(*world)
	read   int // steps of the reader
	queue  []func()
	queued []string // what the queue holds, for key
	did    int      // steps of the client
	pings  int
	client []func(*world)
}

func newWorld(broken string, stored int, client []func(*world)) *world {
	w := &world{broken: broken, hub: NewHub(), ring: &ring{entries: []*Command{entry(0)}}, wire: &wire{}, client: client, tag: tagSet}
	for range stored {
		store(w)
	}
	w.ring.entries[0].At.Seq = 1
	w.hub.SetWindow(w.ring)
	w.s = New("id", w.wire)
	w.s.SetGap(NewMessage(false, []byte("gap")))
	w.hub.Reached(w.hub.Shard(w.s), w.ring.Newest())
	return w
}

// store puts an entry into Redis. The reader puts it into the window, then hands it to the
// members that it has then.
func store(w *world) {
	w.stored++
	e := entry(uint64(w.stored), Channel("room"))
	e.At.Tag = w.tag
	keep := func(w *world) { w.ring.entries = append(w.ring.entries, e) }
	hand := func(w *world) {
		var sets []*Members
		w.hub.Match(e.To[0], func(m *Members) { sets = append(sets, m) })
		w.push(fmt.Sprint(e.At.Milli, len(sets)), func() {
			for _, m := range sets {
				m.each(func(s *Session) bool { _, _ = s.Deliver(e); return true })
			}
		})
		w.push(fmt.Sprint("reached ", e.At.Milli), func() { w.hub.Reached(w.hub.Shard(w.s), e.At) })
	}
	if w.broken == "window last" {
		keep, hand = hand, keep
	}
	w.reader = append(w.reader, keep, hand)
}

// lose ends the history: the window is emptied and loaded again, then the sessions are told.
// The next entry is number 11.
func lose(w *world) {
	w.tag, w.stored = tagSet+1, 10
	first := entry(10)
	first.At.Tag = w.tag
	w.reader = append(w.reader,
		func(w *world) { w.ring.entries = []*Command{first} },
		func(w *world) {
			w.push("gap", func() {
				w.hub.All(w.hub.Shard(w.s)).each(func(s *Session) bool {
					_ = w.hub.Gap(s, first.At, w.broken != "no word of a gap")
					return true
				})
				w.hub.Reached(w.hub.Shard(w.s), first.At)
			})
		})
}

func (w *world) push(name string, run func()) {
	w.queue, w.queued = append(w.queue, run), append(w.queued, name)
}

// steps are the steps that are possible now.
func (w *world) steps() (list []func()) {
	if w.read < len(w.reader) {
		list = append(list, func() { w.reader[w.read](w); w.read++ })
	}
	if len(w.queue) > 0 {
		list = append(list, func() {
			run := w.queue[0]
			w.queue, w.queued = w.queue[1:], w.queued[1:]
			run()
		})
	}
	if w.did < len(w.client) {
		list = append(list, func() { w.client[w.did](w); w.did++ })
	}
	if w.pings < 2 {
		list = append(list, func() { w.pings++; w.ping() })
	}
	return list
}

// ping sends the client its position.
func (w *world) ping() {
	_ = w.hub.Tell(w.s, func(at Position) *Message {
		if w.broken == "position of the reader" {
			at = w.ring.Newest()
		}
		return NewMessage(false, fmt.Append(nil, "at ", at.Milli))
	})
}

func (w *world) key() string {
	p := &w.s.place
	return fmt.Sprint(w.stored, w.read, w.queued, w.did, w.pings, p.at, w.s.held, w.began, w.hub.reached[w.hub.Shard(w.s)].Load(), len(w.ring.entries), w.wire.got)
}

// wrong checks what the client got, whole or cut off anywhere: with its last id it has all
// entries up to that id, once and in order, and has nothing of the later ones.
func (w *world) wrong() string {
	next := w.began.Milli + 1 // the entry that is due; 0: any new one
	var lost uint64
	for i, got := range w.wire.got {
		var n uint64
		switch {
		case got == "gap": // whatever was stored until now may be missing
			next, lost = 0, 11
		case got == "reply" && slices.Contains(w.wire.got[:i], "2"):
			return "the reply is behind what its answer stored"
		case strings.HasPrefix(got, "at "):
			if fmt.Sscan(got[3:], &n); next > 0 && n >= next {
				return fmt.Sprintf("told %d before entry %d", n, next)
			}
		case got[0] >= '0' && got[0] <= '9':
			if fmt.Sscan(got, &n); next > 0 && n != next || n < lost {
				return fmt.Sprintf("entry %d in place of %d", n, next)
			}
			next = n + 1
		}
	}
	if w.began.Milli >= 10 && slices.Contains(w.wire.got, "gap") {
		return "told of a gap before it began"
	}
	if len(w.steps()) == 0 && next > 0 && next != uint64(w.stored)+1 {
		return fmt.Sprintf("entry %d never came", next)
	}
	return ""
}

// explore tries every order, and returns the number of states and what was wrong.
func explore(broken string, stored int, client []func(*world)) (states int, wrong map[string]bool) {
	seen, wrong := map[string]bool{}, map[string]bool{}
	for todo := [][]int{nil}; len(todo) > 0; {
		order := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		w := newWorld(broken, stored, client)
		for _, i := range order {
			w.steps()[i]()
		}
		if key := w.key(); seen[key] {
			continue
		} else {
			seen[key] = true
		}
		if bad := w.wrong(); bad != "" {
			wrong[bad] = true
		}
		for i := range w.steps() {
			todo = append(todo, append(slices.Clone(order), i))
		}
	}
	return len(seen), wrong
}

func begin(w *world) { w.began = w.hub.Position(w.s) }

func enter(w *world) {
	_ = w.hub.Enter(w.s, Arrival{
		Membership: Membership{Channels: []string{"room"}}, Began: w.began,
		Greet: func(how Resumption, _ Position) (before, behind []*Message) {
			if how == Gap {
				before = append(before, w.s.place.gap)
			}
			return before, nil
		},
	})
}

// freeze makes what follows see the window as it is now.
func freeze(w *world) { w.hub.SetWindow(&ring{entries: slices.Clone(w.ring.entries)}) }

// The answer to a message stores an entry, before its reply is sent.
func hold(w *world)    { w.hub.Hold(w.s) }
func reply(w *world)   { _ = w.s.Reply(NewMessage(false, []byte("reply"))) }
func release(w *world) { _ = w.hub.Release(w.s) }

// lookOnly is Release whose end is another step.
func lookOnly(w *world) {
	list, through, _ := w.ring.Since(w.s.place.at, w.hub.addressesLocked(w.s), 100, nil)
	for _, c := range list {
		_ = w.wire.Queue(c.Message)
	}
	w.s.place.at = through
}
func letGo(w *world) { w.s.held-- }

func TestNoOrderOfStepsLosesOrRepeatsAnEntry(t *testing.T) {
	connect := []func(*world){begin, enter}
	answer := []func(*world){begin, enter, hold, store, reply, release}
	for _, test := range []struct {
		name   string
		broken string // "": right
		stored int
		client []func(*world)
	}{
		{"connect", "", 3, connect},
		{"an answer that stores", "", 1, answer},
		{"two holds", "", 1, []func(*world){begin, enter, hold, hold, store, reply, release, release}},
		{"a hold within another", "", 1, []func(*world){begin, enter, hold, hold, store, release, reply, release}},
		{"a history ends", "", 1, []func(*world){begin, enter, lose, store, store}},
		{"a history ends before", "", 1, []func(*world){lose, begin, enter, store, store}},
		{"a history ends during connect", "", 1, []func(*world){begin, lose, enter, store}},
		{"a history ends during a hold", "", 1, []func(*world){begin, enter, hold, lose, store, reply, release, store}},
		{"a history ends without a word", "no word of a gap", 1, []func(*world){begin, enter, lose, store}},
		{"the window after the members", "window last", 3, connect},
		{"a look into the window before the index", "look first", 3, []func(*world){begin, freeze, enter}},
		{"a position of the reader", "position of the reader", 3, connect},
		{"no hold", "no hold", 1, []func(*world){begin, enter, store, reply}},
		{"an end of the hold after the last look", "end later", 1, []func(*world){begin, enter, hold, store, reply, lookOnly, letGo}},
	} {
		t.Run(test.name, func(t *testing.T) {
			states, wrong := explore(test.broken, test.stored, test.client)
			t.Logf("%d states, wrong: %v", states, wrong)
			if (test.broken == "") != (len(wrong) == 0) {
				t.Error("the rules do not decide")
			}
		})
	}
}
