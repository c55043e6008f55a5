package bus

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unsafe"

	"wsfpm/session"
)

// model is a Redis that answers on command, and a gateway that joins and
// leaves. It checks after each step the invariants of subscriptions.
type model struct {
	t       *testing.T
	subs    *subscriptions
	members map[session.Address]int
	redis   map[session.Address]bool // what Redis has subscribed, for sure
	sent    []answer                 // commands that Redis will answer, in order
	joins   map[*join]bool
	up      bool
}

type answer struct {
	name      session.Address
	subscribe bool
}

func newModel(t *testing.T, prefixes int) *model {
	return &model{
		t: t, subs: newSubscriptions(prefixes),
		members: map[session.Address]int{}, redis: map[session.Address]bool{}, joins: map[*join]bool{},
	}
}

func (m *model) join(names ...session.Address) {
	for _, n := range names {
		m.members[n]++
	}
	j := m.subs.join(names)
	if j != nil {
		m.joins[j] = true
		return
	}
	m.confirmed(names)
}

// confirmed checks that a confirmed join is really confirmed.
func (m *model) confirmed(names []session.Address) {
	m.t.Helper()
	for _, n := range names {
		if !m.redis[n] || !m.up {
			m.t.Fatalf("join of %v confirmed while Redis does not know the name", n)
		}
	}
}

func (m *model) leave(name session.Address) {
	if m.members[name] > 0 {
		m.members[name]--
	}
	m.subs.leave([]session.Address{name})
}

func (m *model) connect() {
	if !m.up {
		m.up = true
		m.subs.connected(1)
		m.subs.heardFixed()
	}
}

func (m *model) lose() {
	if m.up {
		m.up = false
		m.sent = nil
		clear(m.redis)
		m.subs.lost()
	}
}

// send passes the commands of subs to Redis.
func (m *model) send() {
	if !m.up {
		return
	}
	subscribe, unsubscribe := m.subs.next(time.Unix(1, 0))
	flying := map[session.Address]bool{}
	for _, a := range m.sent {
		flying[a.name] = true
	}
	for i, list := range [][]session.Address{subscribe, unsubscribe} {
		if len(list) > m.subs.perCommand {
			m.t.Fatalf("%d names in one command", len(list))
		}
		for _, n := range list {
			if flying[n] {
				m.t.Fatalf("%v has two commands in flight", n)
			}
			if (m.members[n] > 0) != (i == 0) {
				m.t.Fatalf("%v has %d members and is told Redis in command %d", n, m.members[n], i)
			}
			flying[n] = true
			m.sent = append(m.sent, answer{n, i == 0})
		}
	}
}

// answer lets Redis answer the oldest name.
func (m *model) answer() {
	if len(m.sent) == 0 {
		return
	}
	a := m.sent[0]
	m.sent = m.sent[1:]
	if a.subscribe {
		m.redis[a.name] = true
		m.subs.heardSubscribed(a.name)
	} else {
		delete(m.redis, a.name)
		m.subs.heardUnsubscribed(a.name)
	}
	for j := range m.joins {
		select {
		case <-j.done:
			m.confirmed(j.names)
			delete(m.joins, j)
		default:
		}
	}
}

// settle runs until nothing is left to do, and checks the end.
func (m *model) settle() {
	m.t.Helper()
	m.connect()
	for range 100_000 {
		m.send()
		if len(m.sent) == 0 {
			break
		}
		m.answer()
	}
	wanted := 0
	for n, members := range m.members {
		if (members > 0) != m.redis[n] {
			m.t.Fatalf("%v has %d members; subscribed: %v", n, members, m.redis[n])
		}
		if members > 0 {
			wanted++
		}
	}
	r := m.subs
	if r.wanted != wanted || r.confirmed != wanted || len(r.names) != wanted {
		m.t.Fatalf("wanted %d, confirmed %d, names %d; want %d", r.wanted, r.confirmed, len(r.names), wanted)
	}
	if len(r.queue) != 0 || len(r.inflight) != 0 || !r.settled || !r.oldest().IsZero() {
		m.t.Fatalf("not at rest: %+v", r)
	}
	for j := range m.joins { // only those whose names were left again may remain
		alive := true
		for _, n := range j.names {
			alive = alive && m.members[n] > 0
		}
		if alive {
			m.t.Fatalf("join of %v waits for ever", j.names)
		}
		r.forget(j)
		delete(m.joins, j)
	}
	if len(r.waiting) != 0 {
		m.t.Fatalf("%d names are left waiting for", len(r.waiting))
	}
}

// step takes the step that one byte encodes.
func (m *model) step(b byte, name func(byte) session.Address) {
	switch b % 8 {
	case 0:
		m.join(name(b >> 3))
	case 1:
		m.join(name(b>>3), name(b>>4), name(b>>5))
	case 2, 3:
		m.leave(name(b >> 3))
	case 4:
		m.send()
	case 5:
		m.answer()
	case 6:
		switch {
		case b>>3 < 4:
			m.lose()
		case b>>3 < 24:
			m.connect()
		default:
			for j := range m.joins { // a caller gives up
				m.subs.forget(j)
				delete(m.joins, j)
				break
			}
		}
	case 7:
		m.send()
		m.answer()
	}
}

func channelName(b byte) session.Address { return session.Channel(fmt.Sprint(b % 6)) }

func TestSubscriptionsAgainstAModel(t *testing.T) {
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 1))
		m := newModel(t, 1)
		if seed%2 == 0 {
			m.subs.perCommand = 2 // many commands, so that the window counts
		}
		for range 300 {
			m.step(byte(random.Uint32()), channelName)
		}
		m.settle()
	}
}

func FuzzSubscriptions(f *testing.F) {
	f.Add([]byte{6 | 10<<3, 0, 4, 5, 2, 4, 0, 5, 6, 6 | 10<<3, 7})
	f.Fuzz(func(t *testing.T, steps []byte) {
		m := newModel(t, 1)
		m.subs.perCommand = 2
		for _, b := range steps {
			m.step(b, channelName)
		}
		m.settle()
	})
}

// Six of these steps in every order; settle adds the commands and answers that
// are missing.
func TestSubscriptionsInEveryOrder(t *testing.T) {
	name := session.Channel("a")
	other := session.User("b")
	steps := []func(m *model){
		func(m *model) { m.join(name) },
		func(m *model) { m.join(name, other) },
		func(m *model) { m.leave(name) },
		func(m *model) { m.send() },
		func(m *model) { m.answer() },
		func(m *model) {
			if m.up {
				m.lose()
			} else {
				m.connect()
			}
		},
	}
	const depth = 6
	total := 1
	for range depth {
		total *= len(steps)
	}
	for code := range total {
		m := newModel(t, 1)
		m.connect()
		for c, i := code, 0; i < depth; i++ {
			steps[c%len(steps)](m)
			c /= len(steps)
		}
		m.settle()
	}
}

func TestSubscriptionTransitions(t *testing.T) {
	name := session.Channel("a")
	confirm := func(m *model) { m.join(name); m.send(); m.answer() }
	unsubscribe := func(m *model) { confirm(m); m.leave(name); m.send() }
	tests := []struct {
		name    string
		steps   func(m *model)
		state   state
		members int32
		sub     int // names that are to be subscribed next
		unsub   int
	}{
		{"joined", func(m *model) { m.join(name) }, absent, 1, 1, 0},
		{"joined twice", func(m *model) { m.join(name); m.join(name) }, absent, 2, 1, 0},
		{"joined and left unsent", func(m *model) { m.join(name); m.leave(name) }, absent, 0, 0, 0},
		{"sent", func(m *model) { m.join(name); m.send() }, subscribing, 1, 0, 0},
		{"sent and left", func(m *model) { m.join(name); m.send(); m.leave(name) }, subscribing, 0, 0, 0},
		{"sent, left, confirmed", func(m *model) { m.join(name); m.send(); m.leave(name); m.answer() }, subscribed, 0, 0, 1},
		{"sent, left, joined", func(m *model) { m.join(name); m.send(); m.leave(name); m.join(name) }, subscribing, 1, 0, 0},
		{"confirmed", confirm, subscribed, 1, 0, 0},
		{"confirmed, left, joined", func(m *model) { confirm(m); m.leave(name); m.join(name) }, subscribed, 1, 0, 0},
		{"unsubscribing", unsubscribe, unsubscribing, 0, 0, 0},
		{"unsubscribing and joined", func(m *model) { unsubscribe(m); m.join(name) }, unsubscribing, 1, 0, 0},
		{"unsubscribed and joined", func(m *model) { unsubscribe(m); m.join(name); m.answer() }, absent, 1, 1, 0},
		{"left without joining", func(m *model) { m.leave(name) }, absent, 0, 0, 0},
		{"lost", func(m *model) { confirm(m); m.lose() }, absent, 1, 0, 0},
		{"lost and found", func(m *model) { confirm(m); m.lose(); m.connect() }, absent, 1, 1, 0},
		{"lost while unsubscribing", func(m *model) { unsubscribe(m); m.lose(); m.connect() }, absent, 0, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newModel(t, 1)
			m.connect()
			tt.steps(m)
			if e := m.subs.names[name]; e.state != tt.state || e.members != tt.members {
				t.Errorf("got %+v, want state %d and %d members", e, tt.state, tt.members)
			}
			if m.up {
				before := len(m.sent)
				m.send()
				var sub, unsub int
				for _, a := range m.sent[before:] {
					if a.subscribe {
						sub++
					} else {
						unsub++
					}
				}
				if sub != tt.sub || unsub != tt.unsub {
					t.Errorf("got %d to subscribe and %d to unsubscribe, want %d and %d", sub, unsub, tt.sub, tt.unsub)
				}
			}
			m.settle()
		})
	}
}

func TestNamesAreGatheredIntoCommands(t *testing.T) {
	r := newSubscriptions(3)
	r.connected(0)
	var names []session.Address
	for i := range 10 * batch {
		names = append(names, session.Conn(fmt.Sprint(i)))
	}
	r.join(names)
	for i := range window {
		if sub, _ := r.next(time.Now()); len(sub) != batch/3 {
			t.Fatalf("command %d has %d names, want %d", i, len(sub), batch/3)
		}
	}
	if sub, unsub := r.next(time.Now()); len(sub)+len(unsub) > 0 {
		t.Error("more commands on their way than the window allows")
	}
}

// The name that Redis confirms is a part of its answer: a map that kept it would keep the answer,
// for each of a million names.
func TestAConfirmedNameKeepsTheMemoryOfTheSession(t *testing.T) {
	subs := newSubscriptions(1)
	subs.connected(0)
	own := session.Channel(strings.Clone("room"))
	subs.join([]session.Address{own})
	if subscribe, _ := subs.next(time.Now()); len(subscribe) != 1 {
		t.Fatal(subscribe)
	}
	subs.heardSubscribed(session.Channel("ws:channel:room"[len("ws:channel:"):]))
	for name := range subs.names {
		if unsafe.StringData(name.Name) != unsafe.StringData(own.Name) {
			t.Error("the name shares the memory of the answer")
		}
	}
}
