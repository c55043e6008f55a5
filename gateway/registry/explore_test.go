package registry

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"wsfpm/session"
)

// The exploration runs every interleaving, within small budgets, of one connection at node
// A, the faults of A and of Redis, and the other nodes, through the real lease, slot and
// claim rules. Time goes in steps of 15 s, in which every running node beats once.
const (
	step    = 15 * time.Second
	theConn = "c1"
	theRoom = "channel:lobby"
)

// exRules are rules of the nodes that are left out.
type exRules struct {
	lease                           rules
	model                           modelRules
	ownAsks, claimAsks, missingRuns bool // left out when true
	noLook                          bool // an event begins without isAwake
}

// exBudget bounds the faults of one run.
type exBudget struct{ crash, pause, flush, lose, outage int }

// exNode is one node.
type exNode struct {
	name   string
	lease  lease
	state  byte // 'u' up, 'd' dead, 'p' paused
	beaten bool // in this step
	good   bool // its last beat went through
	failed bool // a beat of it has found Redis away
	dead   []death
	claim  byte   // 0 none, 'm' mine
	read   string // the record that the claimer read; "" none
}

// exState is one state of the exploration.
type exState struct {
	now     time.Duration
	redis   *model
	down    bool // Redis is
	nodes   []exNode
	slot    slot
	over    bool // A knows that its name was claimed
	client  bool // is connected to A
	ended   bool // A has decided on the disconnect event
	forget  bool // A is to unregister it later
	runs    bool // an event runs at A
	discs   int
	flushed bool   // and A has had no answer to a beat since
	faults  string // what has happened, for the exceptions
	left    exBudget
	bad     string
}

func (s *exState) clone() *exState {
	c := *s
	c.redis = s.redis.clone()
	c.nodes = slices.Clone(s.nodes)
	for i := range c.nodes {
		seen := map[string]sight{}
		for k, v := range s.nodes[i].lease.seen {
			seen[k] = v
		}
		c.nodes[i].lease.seen = seen
		c.nodes[i].dead = slices.Clone(s.nodes[i].dead)
	}
	if s.slot.sent != nil {
		w := *s.slot.sent
		c.slot.sent = &w
	}
	return &c
}

// key identifies a state; times are relative, and those long ago are the same.
func (s *exState) key() string {
	var b strings.Builder
	ago := func(d time.Duration) time.Duration { return min(s.now-d, 5*step) }
	rank := map[string]int{"": 0} // beats matter by their identity only
	id := func(beat string) int {
		if _, ok := rank[beat]; !ok {
			rank[beat] = len(rank)
		}
		return rank[beat]
	}
	for i := range s.nodes {
		n := &s.nodes[i]
		at := ""
		if v, ok := s.redis.beats[n.name]; ok {
			at = fmt.Sprint(v)
		}
		fmt.Fprint(&b, n.name, id(at), n.state, n.beaten, n.good, n.failed, n.claim, n.read != "", s.redis.stamps[n.name] != "", s.redis.tombs[n.name], len(s.redis.records[n.name]), " ")
		l := &n.lease
		fmt.Fprint(&b, ago(l.tried), ago(l.last), l.good, l.stamp == s.redis.stamps[n.name], l.stamp == "", "|")
		for j := range s.nodes {
			if v, ok := l.seen[s.nodes[j].name]; ok {
				fmt.Fprint(&b, j, id(v.beat), ago(v.since), ",")
			}
		}
		for _, d := range n.dead {
			fmt.Fprint(&b, "!", d.node, id(d.beat), d.holder)
		}
		fmt.Fprint(&b, ";")
	}
	fmt.Fprint(&b, s.down, s.slot.version, s.slot.sent != nil, s.slot.stored, s.slot.dirty, s.slot.doubt, s.flushed, s.over, s.client, s.ended, s.forget, s.runs, s.discs)
	if s.slot.sent != nil {
		fmt.Fprint(&b, s.slot.sent.creates)
	}
	fmt.Fprint(&b, s.redis.presence, s.redis.records["A"][theConn].version, s.faults, s.left, s.bad)
	return b.String()
}

func (s *exState) has(fault string) bool { return strings.Contains(s.faults, fault) }

func (s *exState) note(fault string) {
	if !s.has(fault) {
		s.faults += fault
	}
}

func (s *exState) fail(why string) {
	if s.bad == "" {
		s.bad = why
	}
}

// next is a step and what it leads to.
type next struct {
	name  string
	state *exState
}

// explorer makes the steps.
type explorer struct {
	without exRules
	ends    map[string]*exState
}

func (x *explorer) steps(s *exState) (out []next) {
	add := func(name string, do func(*exState)) {
		c := s.clone()
		do(c)
		out = append(out, next{name, c})
	}
	a := &s.nodes[0]
	if a.state == 'u' {
		x.ofConnection(s, add)
	}
	for i := range s.nodes {
		x.ofNode(s, i, add)
	}
	if s.left.flush > 0 && !s.down {
		add("FLUSHALL", func(s *exState) {
			s.left.flush--
			s.flushed = true
			if s.nodes[0].state == 'd' || s.redis.tombs["A"] != "" {
				s.note("late-flush")
			}
			s.redis.flush()
		})
	}
	if s.left.outage > 0 {
		add("Redis away", func(s *exState) { s.left.outage--; s.down = true })
	}
	if s.down {
		add("Redis back", func(s *exState) { s.down = false })
	}
	if !slices.ContainsFunc(s.nodes, func(n exNode) bool { return n.state == 'u' && !n.beaten && !(n.name == "A" && s.over) }) {
		add("15 s", func(s *exState) {
			s.now += step
			for i := range s.nodes {
				s.nodes[i].beaten = false
			}
		})
	}
	return out
}

// ofConnection are the steps of node A's connection.
func (x *explorer) ofConnection(s *exState, add func(string, func(*exState))) {
	a := &s.nodes[0]
	if s.client && !s.runs && !s.over && (x.without.noLook || isAwake(s.now, a.lease.tried)) {
		add("an event begins", func(s *exState) {
			s.runs = true
			if s.discs > 0 && s.nodes[0].good && !s.has("late-flush") && !s.nodes[0].failed {
				s.fail("an event began after the disconnect event")
			}
		})
	}
	if s.runs {
		add("the event ends", func(s *exState) { s.runs = false })
	}
	if s.client {
		add("the client breaks", func(s *exState) { s.client = false })
	}
	if !s.over && !s.ended && (s.slot.dirty || s.slot.sent != nil) {
		write := func(s *exState) *write { return s.slot.next(theConn, exRecord) }
		if !s.down {
			add("A writes", func(s *exState) {
				code, _ := s.redis.put(write(s), "A", theConn)
				s.slot.answered(code)
			})
		}
		if s.left.lose > 0 && !s.down {
			add("A writes, the answer is lost", func(s *exState) {
				s.left.lose--
				if code, _ := s.redis.put(write(s), "A", theConn); code == codeClaimed {
					s.note("refusal-lost") // a refusal that A does not hear: it cannot know that Redis never had a record
				}
				s.slot.unanswered()
			})
		}
	}
	if !s.client && !s.ended && !s.runs {
		x.ofEnd(s, add)
	}
	if s.forget && !s.down {
		add("A unregisters later", func(s *exState) { s.redis.unregister("A", theConn); s.forget = false })
	}
}

func exRecord() Record {
	name, _ := session.ParseAddress(theRoom)
	return Record{Counted: []session.Address{name}, Info: Info{User: "42"}}
}

// ofEnd are the ways in which A decides on the disconnect event.
func (x *explorer) ofEnd(s *exState, add func(string, func(*exState))) {
	switch {
	case !s.slot.mayBeStored():
		add("A runs disconnect: Redis never had a record", func(s *exState) { s.ended = true; s.discs++ })
	case s.down:
		add("A runs disconnect, Redis being away", func(s *exState) {
			s.ended, s.forget = true, true
			s.discs++
			s.note("unknown")
		})
	default:
		add("A unregisters", func(s *exState) {
			s.ended = true
			code, _, _ := s.redis.unregister("A", theConn)
			if code == codeOK || code == codeMissing && !x.without.missingRuns || x.without.ownAsks {
				s.discs++
			}
		})
		if s.left.lose > 0 {
			add("A unregisters, the answer is lost", func(s *exState) {
				s.left.lose--
				s.redis.unregister("A", theConn)
				s.ended, s.forget = true, true
				s.discs++
				s.note("unknown")
			})
		}
	}
}

// ofNode are the steps of one node.
func (x *explorer) ofNode(s *exState, i int, add func(string, func(*exState))) {
	n := &s.nodes[i]
	if n.state == 'p' {
		add(n.name+" wakes", func(s *exState) { s.nodes[i].state = 'u' })
	}
	if n.state != 'u' {
		return
	}
	if s.left.crash > 0 {
		add(n.name+" crashes", func(s *exState) {
			s.left.crash--
			n := &s.nodes[i]
			n.state, n.claim, n.read = 'd', 0, ""
			if i == 0 {
				s.client, s.runs = false, false
				s.note("crash")
				if s.ended && s.forget {
					s.note("crash-unknown")
				}
				if _, there := s.redis.records["A"][theConn]; !there && !s.ended && (s.flushed || !s.slot.stored || s.slot.dirty) {
					s.note("crash-unstored")
				}
			}
		})
	}
	if s.left.pause > 0 && i == 0 {
		add(n.name+" is paused", func(s *exState) {
			s.left.pause--
			s.nodes[i].state = 'p'
			s.note("pause")
			if !s.slot.stored && s.slot.doubt { // Redis forgot the record, and it is not back yet
				s.note("pause-unstored")
			}
		})
	}
	if !n.beaten && !(i == 0 && s.over) {
		x.beats(s, i, add)
	}
	if i > 0 && !s.down {
		x.ofClaimer(s, i, add)
	}
}

// beats are the ways in which a beat may go.
func (x *explorer) beats(s *exState, i int, add func(string, func(*exState))) {
	name := s.nodes[i].name
	do := func(s *exState, lost bool) {
		n := &s.nodes[i]
		n.beaten = true
		number := n.lease.beat(s.now)
		if s.down {
			n.lease.failed(s.now)
			n.good, n.dead, n.failed = false, nil, true
			return
		}
		code, stamp, all := s.redis.beat(name, "s"+name, number)
		if lost {
			n.lease.failed(s.now)
			n.good, n.dead = false, nil
			return
		}
		v := n.lease.answered(s.now, code, stamp, all)
		n.good, n.dead = true, v.dead
		if i > 0 {
			return
		}
		s.flushed = false
		if v.claimed { // its clients are sent away
			s.over, s.client = true, false
		}
		if v.register && !s.ended {
			s.slot.forgot()
		}
	}
	add(name+" beats", func(s *exState) { do(s, false) })
	if s.left.lose > 0 && !s.down {
		add(name+" beats, the answer is lost", func(s *exState) { s.left.lose--; do(s, true) })
	}
}

// ofClaimer are the steps of a node that claims A.
func (x *explorer) ofClaimer(s *exState, i int, add func(string, func(*exState))) {
	n := &s.nodes[i]
	for _, d := range n.dead {
		if d.node != "A" || n.read != "" {
			continue
		}
		add(n.name+" claims A", func(s *exState) {
			n := &s.nodes[i]
			if h := s.redis.tombs["A"]; h != "" && h != n.name && slices.ContainsFunc(n.dead, func(d death) bool { return d.node == h }) {
				d.holder = h
			}
			a := &s.nodes[0]
			at, listed := s.redis.beats["A"]
			beating := listed && a.state == 'u' && a.beaten && a.good && fmt.Sprint(at) != d.beat && s.redis.tombs["A"] == ""
			code, _ := s.redis.claim(d, n.name)
			if code == codeOK || code == codeDone {
				if beating {
					s.fail("a node was claimed after its beat had changed")
				}
				if cut := a.failed && !n.failed; a.state == 'u' && !s.has("pause") && !cut {
					s.fail("a node was claimed that was not paused")
				}
			}
			n.claim, n.dead = 0, nil // looks again after its next beat
			if code == codeOK {
				n.claim, n.read = 'm', s.redis.records["A"][theConn].text
			}
		})
	}
	if n.read != "" {
		add(n.name+" unregisters A's connection", func(s *exState) {
			n := &s.nodes[i]
			code, _, _ := s.redis.unregister("A", theConn)
			if code == codeOK || x.without.claimAsks {
				s.discs++
			}
			n.read = ""
		})
	}
}
