package session

import "sync"

// Hub finds the sessions of this process by address. It is safe for
// concurrent use; nothing is written to a client while its lock is held.
//
// Lock order: a session's lock, then the hub's.
type Hub struct {
	mu    sync.Mutex
	index map[Address]*members
	all   members
}

// NewHub makes an empty hub.
func NewHub() *Hub {
	return &Hub{index: make(map[Address]*members)}
}

// Len is the number of sessions.
func (h *Hub) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.all.list)
}

// Add makes s findable under its id and its first standing, and queues its
// first messages in the same step: no push comes before them.
func (h *Hub) Add(s *Session, first Standing, messages ...*Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.standing, s.present = first, true
	h.mu.Lock()
	h.all.add(s)
	h.addLocked(Conn(s.id), s)
	for _, a := range first.Addresses() {
		h.addLocked(a, s)
	}
	h.mu.Unlock()
	return s.queueLocked(messages)
}

// Set changes the standing of s and queues messages for it, in one step: no
// push to a joined address comes before them, none to a left one after them.
// The caller holds [Session.LockChanges]. After [Hub.Remove] the standing is
// kept, for the session's last events, and [ErrEnded] is returned.
func (h *Hub) Set(s *Session, next Standing, messages ...*Message) error {
	s.mu.Lock()
	if !s.present {
		s.standing = next
		s.mu.Unlock()
		return ErrEnded
	}
	h.standLocked(s, next)
	err := s.queueLocked(messages)
	s.mu.Unlock()
	s.out.Flush()
	return err
}

// Move does to s what a command of others says that changes its standing, in
// one step: the change, then the message, which is a push like any other, then
// the close. It reports false, and changes nothing, when the command does not
// mean the client any more. The caller holds [Session.LockChanges].
func (h *Hub) Move(s *Session, c *Command, next Standing) (meant bool, err error) {
	s.mu.Lock()
	if !s.meantLocked(c) {
		s.mu.Unlock()
		return false, nil
	}
	h.standLocked(s, next)
	err = s.takeLocked(c)
	s.mu.Unlock()
	s.follow(c)
	return true, err
}

// standLocked gives a present session another standing.
func (h *Hub) standLocked(s *Session, next Standing) {
	joined, left := s.standing.Diff(next)
	s.standing = next
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range joined {
		h.addLocked(a, s)
	}
	for _, a := range left {
		h.removeLocked(a, s)
	}
}

// Remove makes s unfindable for ever and returns the addresses that it gave
// up, its own id among them; nil when it was not in the hub.
func (h *Hub) Remove(s *Session) (left []Address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.present {
		return nil
	}
	s.present = false
	left = append(s.standing.Addresses(), Conn(s.id))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all.remove(s)
	for _, a := range left {
		h.removeLocked(a, s)
	}
	return left
}

// Find returns the sessions that any of the addresses means, each once. The
// list is shared and must not be changed. Whether a session is still meant
// when its turn comes is checked by [Session.Deliver].
func (h *Hub) Find(to []Address) []*Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(to) == 1 {
		return h.findLocked(to[0])
	}
	seen := make(map[*Session]bool)
	var found []*Session
	for _, a := range to {
		if a.Kind == KindAll {
			return h.findLocked(a)
		}
		for _, s := range h.findLocked(a) {
			if !seen[s] {
				seen[s] = true
				found = append(found, s)
			}
		}
	}
	return found
}

func (h *Hub) findLocked(a Address) []*Session {
	if a.Kind == KindAll {
		return h.all.snapshot()
	}
	if m := h.index[a]; m != nil {
		return m.snapshot()
	}
	return nil
}

func (h *Hub) addLocked(a Address, s *Session) {
	m := h.index[a]
	if m == nil {
		m = &members{}
		h.index[a] = m
	}
	m.add(s)
}

func (h *Hub) removeLocked(a Address, s *Session) {
	m := h.index[a]
	if m == nil {
		return
	}
	m.remove(s)
	if len(m.list) == 0 {
		delete(h.index, a)
	}
}

func (s *Session) queueLocked(messages []*Message) error {
	for _, m := range messages {
		if err := s.out.QueueReply(m); err != nil {
			return err
		}
	}
	return nil
}

// members is a set of sessions that is handed out as a list. The list is
// copied before a change only if somebody may still be reading it.
type members struct {
	list   []*Session
	at     map[*Session]int // position in list; nil while the list is short
	shared bool             // list was handed out
}

// short is the length up to which a list is searched rather than indexed.
const short = 16

func (m *members) snapshot() []*Session {
	m.shared = true
	return m.list
}

func (m *members) add(s *Session) {
	m.own()
	m.list = append(m.list, s)
	switch {
	case m.at != nil:
		m.at[s] = len(m.list) - 1
	case len(m.list) > short:
		m.at = make(map[*Session]int, 2*len(m.list))
		for i, each := range m.list {
			m.at[each] = i
		}
	}
}

func (m *members) remove(s *Session) {
	i := m.position(s)
	if i < 0 {
		return
	}
	m.own()
	last := len(m.list) - 1
	moved := m.list[last]
	m.list[i], m.list[last] = moved, nil
	m.list = m.list[:last]
	if m.at != nil {
		m.at[moved] = i
		delete(m.at, s)
	}
}

func (m *members) position(s *Session) int {
	if m.at != nil {
		if i, found := m.at[s]; found {
			return i
		}
		return -1
	}
	for i, each := range m.list {
		if each == s {
			return i
		}
	}
	return -1
}

// own makes the list this set's own again.
func (m *members) own() {
	if m.shared {
		m.list = append(make([]*Session, 0, len(m.list)+1), m.list...)
		m.shared = false
	}
}
