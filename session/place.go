package session

import "errors"

// Window is the part of the log that this process holds in memory. It is safe for
// concurrent use and does not block: it is asked under a session's lock.
type Window interface {
	// Since appends to list the commands of the entries behind after that name one of
	// the addresses, in order and each once, at most `most`. Through is the position
	// up to which it has looked: that of the last one returned if there may be more, else
	// that of the newest entry. Known is false if the window cannot tell what follows
	// after: it is of another history, or entries behind it are gone. Then nothing is
	// appended, and through is the newest entry's position.
	Since(after Position, to []Address, most int, list []*Command) (out []*Command, through Position, known bool)
	// Newest is the position of the newest entry, the zero value before there is one.
	Newest() Position
}

// place is a session's place in the log. It is guarded by Session.mu.
type place struct {
	was *Address // the client's connection before this one, for Except; nil: none
	gap *Message // for the client when entries may be missing; nil: none
	at  Position // of the last entry that was queued, or that does not concern the client
}

// SetGap sets the message that the client gets whenever entries of the log may be missing;
// nil: none. It is called before [Hub.Enter].
func (s *Session) SetGap(m *Message) { s.place.gap = m }

// takesLocked reports whether an entry of the log is to be queued now. What a held
// session skips is in the window already: a process puts an entry there first.
func (s *Session) takesLocked(at Position) bool {
	p := &s.place
	return s.held == 0 && (p.at.IsZero() || at.Tag == p.at.Tag && at.After(p.at))
}

// SetWindow sets the window of the log. It is called before the first [Hub.Enter]; without
// it there is no log.
func (h *Hub) SetWindow(w Window) { h.window = w }

// Reached records that the shard's worker has delivered all entries up to p.
func (h *Hub) Reached(shard int, p Position) { h.reached[shard].Store(&p) }

// Position is the place in the log that may be told to the client: no entry up to it is
// still to be queued. It is the zero value without a log. For a session that is not in the hub
// it is that of the session's shard.
func (h *Hub) Position(s *Session) Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return h.positionLocked(s)
}

func (h *Hub) positionLocked(s *Session) Position {
	at := s.place.at
	reached := h.reached[h.Shard(s)].Load()
	if reached == nil || s.held > 0 {
		return at
	}
	if at.IsZero() || reached.Tag == at.Tag && reached.After(at) {
		return *reached
	}
	return at
}

// Tell queues a message that carries the client's position, so that no entry up to that
// position follows it and none after it precedes it.
func (h *Hub) Tell(s *Session, message func(at Position) *Message) error {
	err := h.tell(s, message)
	if err == nil {
		s.Flush()
	}
	return err
}

func (h *Hub) tell(s *Session, message func(at Position) *Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.present || s.closing {
		return ErrEnded
	}
	return s.out.QueueReply(message(h.positionLocked(s)))
}

// Hold makes the session skip the entries of the log until [Hub.Release], which reads them
// from the window. An answer that stores entries is applied between the two, so that its
// reply precedes them; and a change of membership by a command of others. Holds nest.
func (h *Hub) Hold(s *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place.at = h.positionLocked(s)
	s.held++
}

// bite is the number of entries that Release queues at a time.
const bite = 64

// Release ends a hold. The last one queues what was skipped; its last look into the window
// and the end of the hold are one step. The error is one of [Outlet.Queue].
func (h *Hub) Release(s *Session) error {
	for {
		done, closing, err := h.release(s)
		if done {
			s.Flush()
			if closing != nil {
				s.out.Close(closing.Code, closing.Reason)
			}
			return err
		}
		s.Flush()
	}
}

// release queues the next entries that a held session has skipped.
func (h *Hub) release(s *Session) (done bool, closing *Close, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.place
	if s.held > 1 || !s.present || s.closing || h.window == nil || p.at.IsZero() {
		s.held-- // without a place the session has skipped nothing: a gap comes before the first entry
		return true, nil, nil
	}
	var room [bite]*Command
	entries, through, known := h.window.Since(p.at, h.addressesLocked(s), bite, room[:0])
	if through.IsZero() { // the log is loaded again: a gap comes
		s.held--
		return true, nil, nil
	}
	if !known {
		err = s.gapLocked(through)
	}
	for _, c := range entries {
		if !s.meantLocked(c) {
			p.at = c.At
			continue
		}
		err = s.takeLocked(c)
		switch {
		case errors.Is(err, ErrFull):
			return false, nil, nil
		case c.Close != nil, err != nil:
			s.held--
			return true, c.Close, err
		}
		p.at = c.At
	}
	if len(entries) == bite {
		return false, nil, nil
	}
	p.at = through
	s.held--
	return true, nil, err
}

// addressesLocked returns all addresses of the log that mean the client.
func (h *Hub) addressesLocked(s *Session) []Address {
	return append(s.membership.Addresses(), All, Conn(s.id))
}

// gapLocked sets the place behind a gap and queues what the client is told of it.
func (s *Session) gapLocked(p Position) error {
	s.place.at = p
	if s.place.gap == nil || !s.present || s.closing {
		return nil
	}
	return s.out.QueueReply(s.place.gap)
}

// Gap reports to a session that entries before p may be missing, unless it entered after them; with
// lost false none is missing, and only the tag of the history has changed.
//
// A place behind p is not enough: after a stream is deleted Redis may give smaller ids under the
// same tag. The place of a session that entered after the gap is in the window.
func (h *Hub) Gap(s *Session, p Position, lost bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := &s.place.at
	switch {
	case at.Tag == p.Tag && !p.After(*at) && h.Knows(*at):
		return nil
	case !lost:
		at.Tag = p.Tag
		return nil
	}
	return s.gapLocked(p)
}

// Knows reports whether the window holds all that follows a position. There must be a log.
func (h *Hub) Knows(at Position) bool {
	_, _, known := h.window.Since(at, nil, 0, nil)
	return known
}
