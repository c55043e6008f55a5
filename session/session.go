package session

import (
	"errors"
	"hash/fnv"
	"math"
	"slices"
	"sync"
)

// ErrEnded is returned for what came after the end of a session.
var ErrEnded = errors.New("session has ended")

// ErrFull is returned by [Outlet.Queue] for a push that has no room before what waits
// is written.
var ErrFull = errors.New("too many pushes are still to be written")

// Outlet takes the messages of one client, in order. Its methods must not
// block: they are called under the session's lock. [Outlet.Flush] is called
// without it.
type Outlet interface {
	// Queue takes a push. When too many wait already it refuses: with [ErrFull] as long
	// as they are still to be written, so that it is to be called again after Flush.
	Queue(*Message) error
	// QueueReply takes a reply, which may exceed the bound of the pushes.
	QueueReply(*Message) error
	// Flush begins to write what is queued.
	Flush()
	// Close ends the connection after what is queued.
	Close(code int, reason string)
}

// Session is one client. Its methods may be called concurrently.
type Session struct {
	id  string
	pin uint32 // see Pin
	out Outlet

	// changes is held for a change of the membership, from reading the old
	// one to setting the new one. It may be held while Redis is asked.
	changes sync.Mutex

	mu         sync.Mutex // guards what follows; never held over I/O
	since      int64      // see CameIn
	membership Membership
	present    bool // in the hub
	closing    bool // a close is queued: nothing can follow it

	batch mark // owned by the [Batch] that delivers to this session
}

// New makes the session of a client that out leads to. It is not found before
// [Hub.Add].
func New(id string, out Outlet) *Session {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(id)) // never fails
	return &Session{id: id, pin: hash.Sum32(), out: out, since: math.MaxInt64}
}

// ID is the connection's id, unique over all nodes.
func (s *Session) ID() string { return s.id }

// Pin is a number drawn from the id, by which one of several workers is always
// the same one for this session.
func (s *Session) Pin() uint32 { return s.pin }

// CameIn notes when the client came in, in nanoseconds since 1970. The caller has
// added the session to the hub: what is asked for when a later client has come in
// finds this one. Until then the client is younger than all others.
func (s *Session) CameIn(at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = at
}

// Membership is what the client is known by now.
func (s *Session) Membership() Membership {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.membership
}

// LockChanges keeps others from changing the membership until
// [Session.UnlockChanges].
func (s *Session) LockChanges() { s.changes.Lock() }

// UnlockChanges ends what [Session.LockChanges] began.
func (s *Session) UnlockChanges() { s.changes.Unlock() }

// Reply sends messages to the client without a change of its membership.
func (s *Session) Reply(messages ...*Message) error {
	for _, m := range messages {
		if err := s.out.QueueReply(m); err != nil {
			return err
		}
	}
	s.out.Flush()
	return nil
}

// Close ends the client's connection after what is queued for it. No
// command means the client from then on.
func (s *Session) Close(c Close) {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.out.Close(c.Code, c.Reason)
}

// Deliver does to the client what a command of others says of messages and
// closing, provided that one of the command's addresses still means it: the
// look-up in the hub may be older than a change of its membership. It reports
// whether the client was meant. The message is queued; [Session.Flush] writes it.
func (s *Session) Deliver(c *Command) (meant bool, err error) {
	for meant, err = s.take(c); errors.Is(err, ErrFull); meant, err = s.take(c) {
		s.Flush()
	}
	if meant {
		s.follow(c)
	}
	return meant, err
}

// take is the part of Deliver under the lock, which a bug in the outlet must not
// leave locked.
func (s *Session) take(c *Command) (meant bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.meantLocked(c) {
		return false, nil
	}
	return true, s.takeLocked(c)
}

// Flush begins to write what is queued for the client.
func (s *Session) Flush() { s.out.Flush() }

// takeLocked queues a command's message and notes its close. After ErrFull nothing
// has been done.
func (s *Session) takeLocked(c *Command) (err error) {
	if c.Message != nil {
		err = s.out.Queue(c.Message)
	}
	if errors.Is(err, ErrFull) {
		return err
	}
	s.closing = s.closing || c.Close != nil
	return err
}

// follow does the rest of takeLocked, without the lock.
func (s *Session) follow(c *Command) {
	if c.Close != nil {
		s.out.Close(c.Close.Code, c.Close.Reason)
	}
}

// Matches reports whether the client is meant by the command.
func (s *Session) Matches(c *Command) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meantLocked(c)
}

func (s *Session) meantLocked(c *Command) bool {
	return s.present && !s.closing && (c.Before == 0 || s.since <= c.Before) && !s.matchesLocked(c.Except) && s.matchesLocked(c.To)
}

func (s *Session) matchesLocked(list []Address) bool {
	for _, a := range list {
		switch a.Kind {
		case KindAll:
			return true
		case KindConn:
			if a.Name == s.id {
				return true
			}
		case KindUser:
			if a.Name == s.membership.User && a.Name != "" {
				return true
			}
		case KindChannel:
			if slices.Contains(s.membership.Channels, a.Name) {
				return true
			}
		}
	}
	return false
}
