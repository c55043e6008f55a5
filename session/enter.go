package session

import (
	"math"
	"slices"
)

// Resumption says how a client that enters the hub stands to the log.
type Resumption uint8

const (
	// Fresh: the client had no position, and begins now.
	Fresh Resumption = iota
	// Resumed: the client gets all that it has missed.
	Resumed
	// Gap: entries may be missing.
	Gap
)

// Arrival is how a client enters the hub: its first membership, its first messages, and
// where in the log it begins.
type Arrival struct {
	Membership Membership
	// Greet returns the first messages: those before the entries of the log that the
	// client gets at once, and those behind them; at is the position before these
	// entries. It is called under the session's lock and must not block. Nil: no messages.
	Greet func(how Resumption, at Position) (before, behind []*Message)
	// Last is the position of the last entry that the client has; zero: none.
	Last Position
	// Began is the session's position when the connect event began, see [Hub.Position]:
	// without Last, or if that is not known any more, the client gets the entries behind
	// Began. Older entries with a close do not close it.
	Began Position
	// Live names channels of Membership whose entries count from now only.
	Live []string
	// Was is the id of the client's former connection: commands that exclude it exclude
	// this one. It has no other meaning, as a client may claim any.
	Was string
	// MostMessages and MostBytes bound the entries that it gets at once; more of them are
	// a gap. 0: no limit.
	MostMessages, MostBytes int
}

// Enter adds s, queues its first messages and the entries of the log that it has missed, in
// one step: no push precedes them. The error is one of [Outlet.QueueReply].
func (h *Hub) Enter(s *Session, a Arrival) error {
	closing, err := h.enter(s, &a)
	if closing != nil {
		s.out.Close(closing.Code, closing.Reason)
	}
	return err
}

// Add is [Hub.Enter] with messages alone.
func (h *Hub) Add(s *Session, first Membership, messages ...*Message) error {
	return h.Enter(s, Arrival{Membership: first, Greet: func(Resumption, Position) (before, behind []*Message) { return messages, nil }})
}

// enter is the part of Enter under the session's lock. The session is in the index before
// the look into the window, and an entry is in the window before its members are looked up
// in the index: so none is missed.
func (h *Hub) enter(s *Session, a *Arrival) (closing *Close, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.indexLocked(s, a.Membership)
	if a.Was != "" {
		was := Conn(a.Was)
		s.place.was = &was
	}
	missed, at, how := h.missedLocked(s, a)
	var before, behind []*Message
	if a.Greet != nil {
		before, behind = a.Greet(how, at)
	}
	if err = s.queueLocked(before); err != nil {
		return nil, err
	}
	for _, c := range missed {
		if c.Message != nil {
			if err = s.out.QueueReply(c.Message); err != nil {
				return nil, err
			}
		}
		if c.Close != nil && c.At.After(a.Began) {
			s.closing = true
			return c.Close, nil
		}
	}
	return nil, s.queueLocked(behind)
}

// indexLocked adds the session to the index.
func (h *Hub) indexLocked(s *Session, first Membership) {
	s.membership, s.present = first, true
	h.count.Add(1)
	h.all[h.Shard(s)].add(s)
	at := h.stripe(Conn(s.id))
	at.mu.Lock()
	at.conns[s.id] = s
	at.mu.Unlock()
	for _, a := range first.Addresses() {
		h.add(a, s)
	}
}

// missedLocked returns the entries that the client gets at once, and the position before
// them. The session's place is behind them.
func (h *Hub) missedLocked(s *Session, a *Arrival) (missed []*Command, at Position, how Resumption) {
	if h.window == nil {
		return nil, Position{}, Fresh
	}
	if missed, known := h.sinceLocked(s, a, a.Last); known {
		return missed, a.Last, Resumed
	}
	if !a.Last.IsZero() {
		how = Gap
	}
	if missed, known := h.sinceLocked(s, a, a.Began); known {
		return missed, a.Began, how
	}
	s.place.at = h.window.Newest()
	if s.place.at != a.Began {
		how = Gap
	}
	return nil, s.place.at, how
}

// sinceLocked returns the entries behind a position. Known is false if it is not in the
// window, or if there are too many.
func (h *Hub) sinceLocked(s *Session, a *Arrival, after Position) (list []*Command, known bool) {
	if after.IsZero() {
		return nil, false
	}
	most := a.MostMessages
	if most <= 0 {
		most = math.MaxInt - 1
	}
	list, through, known := h.window.Since(after, h.arrivalAddresses(s, a), most+1, nil)
	if !known || len(list) > most {
		return nil, false
	}
	bytes, kept := 0, list[:0]
	for _, c := range list {
		if !s.meantLocked(c) {
			continue
		}
		kept = append(kept, c)
		if c.Message != nil {
			bytes += len(c.Message.Data()) + Headroom
		}
	}
	if a.MostBytes > 0 && bytes > a.MostBytes {
		return nil, false
	}
	s.place.at = through
	return kept, true
}

// arrivalAddresses returns the addresses whose missed entries the client gets.
func (h *Hub) arrivalAddresses(s *Session, a *Arrival) []Address {
	return slices.DeleteFunc(h.addressesLocked(s), func(each Address) bool {
		return each.Kind == KindChannel && slices.Contains(a.Live, each.Name)
	})
}
