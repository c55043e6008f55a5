package session

import (
	"errors"
	"hash/fnv"
	"math"
	"slices"
	"sync"
)

// ErrEnded is returned for operations after the end of a session.
var ErrEnded = errors.New("session has ended")

// ErrFull is returned by [Outlet.Queue] for a push without room until queued ones are
// written.
var ErrFull = errors.New("too many pushes are still to be written")

// Outlet takes the messages of one client, in order. Its methods must not
// block: they are called under the session's lock. [Outlet.Flush] is called
// without it.
type Outlet interface {
	// Queue queues a push. After [ErrFull] nothing is queued: the caller calls Flush, then
	// Queue with the same push again, so only a call with another result may count it.
	// After any other error the push is lost and the outlet is closing the client: the
	// caller does no more for it. An outlet that drops a push and keeps the client
	// returns nil.
	Queue(*Message) error
	// QueueReply queues a reply, to which the bound of pushes does not apply. After an
	// error the reply is lost, and the outlet is closing the client.
	QueueReply(*Message) error
	// Flush starts to write the queue.
	Flush()
	// Prefetch is called when Queue and Flush follow soon, for many clients in turn. It may
	// load the memory for these into the processor's cache, and does nothing else.
	Prefetch()
	// Close ends the connection after the queue.
	Close(code int, reason string)
}

// Session is one client. Its methods may be called concurrently. The fields that a delivery uses
// are the first ones, see [Batch.Prefetch].
type Session struct {
	out   Outlet
	batch mark // owned by the [Batch] that delivers to this session

	pin uint32 // see Pin; not changed, like id

	mu         sync.Mutex // guards the fields up to relaying; never held over I/O
	present    bool       // in the hub
	closing    bool       // a close is queued: nothing can follow it
	held       uint16     // number of holds, see Hold: entries of the log are skipped, and read from the window later
	since      int64      // see CameIn
	membership Membership
	place      place
	relaying   relaying

	id string

	// changes is held for a change of the membership, from reading the old one to
	// setting the new one, including the wait for Redis.
	changes sync.Mutex
}

// New returns the session of the client behind out. It is not found before [Hub.Add].
func New(id string, out Outlet) *Session {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(id)) // never fails
	return &Session{id: id, pin: hash.Sum32(), out: out, since: math.MaxInt64}
}

// ID is the connection's id, unique over all nodes.
func (s *Session) ID() string { return s.id }

// Pin returns a hash of the id, which always assigns this session to the same worker.
func (s *Session) Pin() uint32 { return s.pin }

// CameIn records when the client connected, in nanoseconds since 1970. The caller has
// added the session to the hub before. Until then the client counts as the newest.
func (s *Session) CameIn(at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = at
}

// Membership returns the current membership.
func (s *Session) Membership() Membership {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.membership
}

// LockChanges locks the membership for a change until [Session.UnlockChanges].
func (s *Session) LockChanges() { s.changes.Lock() }

// UnlockChanges unlocks [Session.LockChanges].
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

// Close ends the client's connection after its queue. No command matches the client from
// then on.
func (s *Session) Close(c Close) {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.out.Close(c.Code, c.Reason)
}

// Deliver applies the message and close of a command of others, if one of its addresses
// still matches the client: the look-up in the hub may precede a change of membership.
// It reports whether the client matched. The message is queued; [Session.Flush] writes
// it. The error is one of [Outlet.Queue] after which the outlet is closing the client,
// never [ErrFull]: Deliver flushes and queues again until there is room.
func (s *Session) Deliver(c *Command) (meant bool, err error) {
	for meant, err = s.take(c); errors.Is(err, ErrFull); meant, err = s.take(c) {
		s.Flush()
	}
	if meant {
		s.follow(c)
	}
	return meant, err
}

// take is the part of Deliver under the lock, which is released even if the outlet
// panics.
func (s *Session) take(c *Command) (meant bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.meantLocked(c) || !c.At.IsZero() && !s.takesLocked(c.At) {
		return false, nil
	}
	if err = s.takeLocked(c); !c.At.IsZero() && !errors.Is(err, ErrFull) {
		s.place.at = c.At
	}
	return true, err
}

// Flush starts to write the client's queue.
func (s *Session) Flush() { s.out.Flush() }

// takeLocked queues a command's message, ends a relay and records a close. After ErrFull nothing has
// changed.
func (s *Session) takeLocked(c *Command) (err error) {
	if c.Message != nil {
		err = s.out.Queue(c.Message)
	}
	if errors.Is(err, ErrFull) {
		return err
	}
	if c.Relay != nil {
		s.relaying.relay = s.relaying.relay.then(*c.Relay, s.membership)
		s.relaying.ends++
	}
	if c.Message != nil && c.Message.isRelayed() {
		s.relaying.hears = true
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

// Matches reports whether the command matches the client.
func (s *Session) Matches(c *Command) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meantLocked(c)
}

func (s *Session) meantLocked(c *Command) bool {
	return s.present && !s.closing && (c.Before == 0 || s.since <= c.Before) && !s.exceptedLocked(c.Except) && s.matchesLocked(c.To)
}

// exceptedLocked reports whether the client is among the excluded, by its former
// connection too.
func (s *Session) exceptedLocked(list []Address) bool {
	return len(list) > 0 && (s.matchesLocked(list) || s.place.was != nil && slices.Contains(list, *s.place.was))
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
