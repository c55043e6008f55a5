package session

import (
	"errors"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
)

// Hub finds the sessions of this process by address. It is safe for concurrent use. It
// does no I/O under its locks, and the time for which one is held does not depend on the
// number of members of an address.
//
// Sessions are distributed to shards by their id, so that one worker per shard keeps the
// order for each client (package delivery). An address leads only to shards with members.
//
// Lock order: a session's lock, a stripe's, a member set's; a session's, the window's.
type Hub struct {
	shards  uint32
	seed    maphash.Seed
	count   atomic.Int64
	all     []*Members // by shard
	stripes [stripes]stripe

	window  Window                     // nil: no log
	reached []atomic.Pointer[Position] // by shard, see Reached
}

// stripes is the number of parts into which the index is cut, each with its own
// lock.
const stripes = 64

// stripe is a part of the index.
type stripe struct {
	mu     sync.Mutex // guards what follows
	conns  map[string]*Session
	topics map[Address]*Members // of users and channels: the first shard with members
}

// NewHub makes an empty hub with a shard for each CPU that Go may use.
func NewHub() *Hub {
	h := &Hub{shards: uint32(runtime.GOMAXPROCS(0)), seed: maphash.MakeSeed()}
	h.reached = make([]atomic.Pointer[Position], h.shards)
	for i := range h.shards {
		h.all = append(h.all, &Members{shard: i})
	}
	for i := range h.stripes {
		h.stripes[i].conns = make(map[string]*Session)
		h.stripes[i].topics = make(map[Address]*Members)
	}
	return h
}

// Shards is the number of shards.
func (h *Hub) Shards() int { return int(h.shards) }

// Shard is the number of the shard that s belongs to.
func (h *Hub) Shard(s *Session) int { return int(s.pin % h.shards) }

// Len is the number of sessions.
func (h *Hub) Len() int { return int(h.count.Load()) }

// Set changes the membership of s and queues messages for it, in one step: no push to a
// joined address precedes them, none to a left one follows them. The caller holds
// [Session.LockChanges]. After [Hub.Remove] the membership is stored, for the session's
// last events, and Set returns [ErrEnded].
func (h *Hub) Set(s *Session, next Membership, messages ...*Message) error {
	err := h.set(s, next, messages)
	if !errors.Is(err, ErrEnded) {
		s.Flush()
	}
	return err
}

// set is the part of Set under the session's lock, which is released even if the outlet
// panics.
func (h *Hub) set(s *Session, next Membership, messages []*Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.present {
		s.membership = next
		return ErrEnded
	}
	h.changeLocked(s, next)
	return s.queueLocked(messages)
}

// Move applies a command of others that changes the membership of s, in one step: the
// change, then the message, which is an ordinary push, then the close. It reports false,
// and changes nothing, if the command no longer matches the client. The caller holds
// [Session.LockChanges].
func (h *Hub) Move(s *Session, c *Command, next Membership) (meant bool, err error) {
	for meant, err = h.move(s, c, next); errors.Is(err, ErrFull); meant, err = h.move(s, c, next) {
		s.Flush()
	}
	if meant {
		s.Flush()
		s.follow(c)
	}
	return meant, err
}

// move is the part of Move under the session's lock. After [ErrFull] nothing has changed.
func (h *Hub) move(s *Session, c *Command, next Membership) (meant bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.meantLocked(c) {
		return false, nil
	}
	if err = s.takeLocked(c); errors.Is(err, ErrFull) {
		return true, err
	}
	before := s.relaying.relay
	if h.changeLocked(s, next); s.relaying.relay != before { // it has left the relay's channel
		s.relaying.ends++
	}
	return true, err
}

// changeLocked changes the membership of a present session.
func (h *Hub) changeLocked(s *Session, next Membership) {
	joined, left := s.membership.Diff(next)
	s.relaying.relay = s.relaying.relay.follow(s.membership, next)
	s.membership = next
	for _, a := range joined {
		h.add(a, s)
	}
	for _, a := range left {
		h.remove(a, s)
	}
}

// Remove removes s for ever and returns its addresses, including its id; nil if it was not
// in the hub.
func (h *Hub) Remove(s *Session) (left []Address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.present {
		return nil
	}
	s.present = false
	h.count.Add(-1)
	h.all[h.Shard(s)].remove(s)
	at := h.stripe(Conn(s.id))
	at.mu.Lock()
	delete(at.conns, s.id)
	at.mu.Unlock()
	left = s.membership.Addresses()
	for _, a := range left {
		h.remove(a, s)
	}
	return append(left, Conn(s.id))
}

// Conn returns the session with this id, or nil.
func (h *Hub) Conn(id string) *Session {
	at := h.stripe(Conn(id))
	at.mu.Lock()
	defer at.mu.Unlock()
	return at.conns[id]
}

// Match calls visit with the members that an address of a user, a channel or all
// has in each shard that has any, without a lock held. For one connection there is
// [Hub.Conn].
func (h *Hub) Match(a Address, visit func(*Members)) {
	if a.Kind == KindAll {
		for _, m := range h.all {
			visit(m)
		}
		return
	}
	var room [16]*Members
	for _, m := range h.topic(a, room[:0]) {
		visit(m)
	}
}

// All returns the sessions of one shard.
func (h *Hub) All(shard int) *Members { return h.all[shard] }

// Members returns the members that an address has in one shard, or nil.
func (h *Hub) Members(a Address, shard int) *Members {
	at := h.stripe(a)
	at.mu.Lock()
	defer at.mu.Unlock()
	m := at.topics[a]
	for m != nil && m.Shard() != shard {
		m = m.next
	}
	return m
}

// topic appends the sets of members that an address has.
func (h *Hub) topic(a Address, sets []*Members) []*Members {
	at := h.stripe(a)
	at.mu.Lock()
	defer at.mu.Unlock()
	for m := at.topics[a]; m != nil; m = m.next {
		sets = append(sets, m)
	}
	return sets
}

// Find returns the sessions that any of the addresses matches, each once, in no order.
// [Session.Deliver] checks whether a session still matches.
func (h *Hub) Find(to []Address) (found []*Session) {
	seen := make(map[*Session]bool)
	add := func(s *Session) {
		if s != nil && !seen[s] {
			seen[s] = true
			found = append(found, s)
		}
	}
	for _, a := range to {
		if a.Kind == KindConn {
			add(h.Conn(a.Name))
			continue
		}
		h.Match(a, func(m *Members) {
			for s := range m.each {
				add(s)
			}
		})
	}
	return found
}

// Count returns the number of sessions that a command matches.
func (h *Hub) Count(c *Command) (n int) {
	count := func(s *Session) {
		if s.Matches(c) {
			n++
		}
	}
	if len(c.To) == 1 && c.To[0].Kind != KindConn { // the usual push needs no list
		h.Match(c.To[0], func(m *Members) { m.each(func(s *Session) bool { count(s); return true }) })
		return n
	}
	for _, s := range h.Find(c.To) {
		count(s)
	}
	return n
}

// add puts s into the set of an address.
func (h *Hub) add(a Address, s *Session) {
	shard := s.pin % h.shards
	at := h.stripe(a)
	at.mu.Lock()
	defer at.mu.Unlock()
	m := at.topics[a]
	for m != nil && m.shard != shard {
		m = m.next
	}
	if m == nil {
		m = &Members{shard: shard, next: at.topics[a]}
		at.topics[a] = m
	}
	m.add(s)
}

// remove takes s out of the set of an address.
func (h *Hub) remove(a Address, s *Session) {
	shard := s.pin % h.shards
	at := h.stripe(a)
	at.mu.Lock()
	defer at.mu.Unlock()
	var before *Members
	m := at.topics[a]
	for m != nil && m.shard != shard {
		before, m = m, m.next
	}
	if m == nil || !m.remove(s) {
		return
	}
	switch {
	case before != nil:
		before.next = m.next
	case m.next != nil:
		at.topics[a] = m.next
	default:
		delete(at.topics, a)
	}
}

// stripe is the part of the index that holds an address.
func (h *Hub) stripe(a Address) *stripe {
	return &h.stripes[maphash.String(h.seed, a.Name)%stripes]
}

func (s *Session) queueLocked(messages []*Message) error {
	for _, m := range messages {
		if err := s.out.QueueReply(m); err != nil {
			return err
		}
	}
	return nil
}
