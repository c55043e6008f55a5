package registry

// slot is what a node knows of one connection's record: a pure state machine. A write
// whose reply was lost is repeated as it was before another one begins, so that every
// version has one content.
type slot struct {
	version uint64 // of the last write that was made
	sent    *write // without an answer; nil: none
	stored  bool   // Redis has confirmed a record
	dirty   bool   // the connection has changed since the last write was made
	doubt   bool   // a write had no answer: Redis may have a record
}

// write is a record on its way.
type write struct {
	creates    bool
	head, tail string
}

// next returns the write to send now, or nil. Describe returns the connection's record,
// without a version.
func (s *slot) next(id string, describe func() Record) *write {
	if s.sent == nil && s.dirty {
		s.version++
		r := describe()
		r.Version = s.version
		s.sent, s.dirty = &write{creates: !s.stored, head: r.head(id), tail: r.tail()}, false
	}
	return s.sent
}

// unanswered notes that a write had no answer. It is repeated.
func (s *slot) unanswered() { s.doubt = true }

// answered notes the answer to a write. It reports whether another one is to follow.
func (s *slot) answered(code string) (again bool) {
	s.sent = nil
	switch code {
	case codeOK, codeOld:
		s.stored = true
	case codeMissing: // of a change: Redis has lost the record
		s.stored, s.dirty = false, true
	}
	return s.dirty
}

// forgot notes that Redis may have lost everything, so that the record is created again.
func (s *slot) forgot() {
	s.doubt = s.doubt || s.stored
	s.stored, s.dirty = false, true
	if s.sent != nil {
		s.sent.creates = true
	}
}

// behind notes the version that Redis was found to have; 0: no record. It reports whether
// the record must be written again.
func (s *slot) behind(found uint64) bool {
	if s.sent != nil || !s.stored || found >= s.version {
		return false
	}
	s.stored, s.dirty = found != 0, true
	return true
}

// mayBeStored reports whether Redis may have a record.
func (s *slot) mayBeStored() bool { return s.stored || s.doubt }
