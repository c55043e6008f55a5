// Package members changes the membership of sessions, consistently in the hub of this
// process and in the subscriptions to Redis.
//
//	err := list.Enter(ctx, s, session.Arrival{Membership: first, Greet: hello}) // at the upgrade
//	err = list.Change(ctx, s, next, reply)                         // by an answer
//	meant, err := list.Move(ctx, s, &command, 64)                  // by a command of others
//	list.Leave(s)                                                  // at the end
//
// It enforces the order: a name is subscribed in Redis, and confirmed, before the
// change becomes visible, and unsubscribed after it. So a client that has received a
// reply can be reached by the addresses in it.
package members

import (
	"context"
	"errors"

	"wsfpm/session"
)

// Bus subscribes this process to names; [bus.Bus] implements it.
type Bus interface {
	// Join counts one member for each name and waits, for a bounded time, until pushes
	// to all of them arrive for certain; it reports whether they do.
	Join(ctx context.Context, names []session.Address) (confirmed bool)
	// Leave subtracts the members. It does not block.
	Leave(names []session.Address)
}

// List is the membership of this process's sessions. It is safe for concurrent use.
type List struct {
	hub         *session.Hub
	bus         Bus
	unconfirmed func()

	// Changed, if set, is called after each change, with the session's lock of changes held.
	// It does not block. It is set before the first session.
	Changed func(s *session.Session, old, next session.Membership)
}

// New returns the list of a hub and a bus. Unconfirmed is called for each join that
// Redis has not confirmed in time; the change takes effect in any case.
func New(hub *session.Hub, bus Bus, unconfirmed func()) *List {
	return &List{hub: hub, bus: bus, unconfirmed: unconfirmed}
}

// Enter adds a session with its first membership and queues its first messages, in one
// step. The caller must call [List.Leave] in the end, also after an error.
func (l *List) Enter(ctx context.Context, s *session.Session, a session.Arrival) error {
	l.join(ctx, append(a.Membership.Addresses(), session.Conn(s.ID())))
	return l.hub.Enter(s, a)
}

// Change gives a session a new membership and queues messages for it, in one step.
// The caller holds [session.Session.LockChanges]. After [List.Leave] it returns
// [session.ErrEnded].
func (l *List) Change(ctx context.Context, s *session.Session, next session.Membership, messages ...*session.Message) error {
	old := s.Membership()
	joined, left := old.Diff(next)
	l.join(ctx, joined)
	err := l.hub.Set(s, next, messages...)
	if errors.Is(err, session.ErrEnded) {
		left = joined // Leave has unsubscribed the others
	}
	l.changed(s, old, next)
	l.bus.Leave(left)
	return err
}

// Move applies a command that changes a session's channels, to at most maxChannels
// (0: no limit): the change, then the message, then the close. It reports whether the
// command matched the session.
func (l *List) Move(ctx context.Context, s *session.Session, c *session.Command, maxChannels int) (meant bool, err error) {
	s.LockChanges()
	defer s.UnlockChanges()
	if !s.Matches(c) {
		return false, nil
	}
	old := s.Membership()
	next, err := old.With(session.Command{Join: c.Join, Leave: c.Leave}, maxChannels)
	if err != nil {
		return true, err
	}
	joined, left := old.Diff(next)
	l.join(ctx, joined)
	meant, err = l.hub.Move(s, c, next)
	if !meant {
		left = joined
	} else {
		l.changed(s, old, next)
	}
	l.bus.Leave(left)
	return meant, err
}

// Leave removes a session for ever. Later calls, and one without Enter, do nothing.
func (l *List) Leave(s *session.Session) {
	l.bus.Leave(l.hub.Remove(s))
}

func (l *List) changed(s *session.Session, old, next session.Membership) {
	if l.Changed != nil {
		l.Changed(s, old, next)
	}
}

func (l *List) join(ctx context.Context, names []session.Address) {
	if len(names) > 0 && !l.bus.Join(ctx, names) {
		l.unconfirmed()
	}
}
