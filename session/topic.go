package session

import (
	"math"
	"slices"
	"sync"
)

// Members is the set of sessions of one shard that one address matches. It is safe for
// concurrent use, including walks with [Members.Before].
type Members struct {
	shard uint32
	next  *Members // the same address in another shard; guarded by the stripe's lock

	mu   sync.Mutex // guards what follows
	list []*Session
	at   map[*Session]int // position in list; nil while the list is short
	one  [1]*Session      // the memory of list while it has one element
}

// short is the length up to which a list is searched rather than indexed.
const short = 16

// Shard is the number of the shard that the members belong to.
func (m *Members) Shard() int { return int(m.shard) }

// Len is the number of members.
func (m *Members) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.list)
}

// Before copies the members just before position at into room and returns their number.
// A walk over all members starts with at = [math.MaxInt] and continues with the returned
// position. A session that is a member during the whole walk is visited at least once,
// possibly twice, since a removal moves the last element into the gap; one that is added
// meanwhile may be missed. The lock is held for the copy only.
func (m *Members) Before(at int, room []*Session) (n, next int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at = min(at, len(m.list))
	next = max(0, at-len(room))
	return copy(room, m.list[next:at]), next
}

// each walks over the members, see [Members.Before].
func (m *Members) each(yield func(*Session) bool) {
	var room [64]*Session
	for n, at := m.Before(math.MaxInt, room[:]); n > 0; n, at = m.Before(at, room[:]) {
		for _, s := range room[:n] {
			if !yield(s) {
				return
			}
		}
	}
}

// add puts s into the set.
func (m *Members) add(s *Session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.list == nil {
		m.list = m.one[:0]
	}
	m.list = append(m.list, s)
	switch {
	case m.at != nil:
		m.at[s] = len(m.list) - 1
	case len(m.list) == 2:
		m.one[0] = nil // the list has moved
	case len(m.list) > short:
		m.at = make(map[*Session]int, 2*len(m.list))
		for i, each := range m.list {
			m.at[each] = i
		}
	}
}

// remove takes s out of the set and reports whether none is left.
func (m *Members) remove(s *Session) (empty bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.positionLocked(s)
	if i < 0 {
		return len(m.list) == 0
	}
	last := len(m.list) - 1
	moved := m.list[last]
	m.list[i], m.list[last] = moved, nil
	m.list = m.list[:last]
	if m.at != nil {
		m.at[moved] = i
		delete(m.at, s)
	}
	return last == 0
}

func (m *Members) positionLocked(s *Session) int {
	if m.at != nil {
		if i, found := m.at[s]; found {
			return i
		}
		return -1
	}
	return slices.Index(m.list, s)
}
