// Package members changes who a client is and what it is a member of, in one place:
// in the hub of this process, and in the subscriptions to Redis.
//
//	err := list.Enter(ctx, s, session.Membership{User: "42"}, hello) // at the upgrade
//	err = list.Change(ctx, s, next, reply)                         // by an answer
//	meant, err := list.Move(ctx, s, &command, 64)                  // by a command of others
//	list.Leave(s)                                                  // at the end
//
// Order is the point. A name is joined in Redis, confirmed, before anything can be
// seen of the change, and left after it: so a client that sees a reply can be reached by
// what it says.
package members

import (
	"context"
	"errors"

	"wsfpm/session"
)

// Bus subscribes this process to names; package bus has the one in use.
type Bus interface {
	// Join counts one member for each name and reports whether pushes to all of
	// them surely arrive from now on. It waits for that, for a bounded time.
	Join(ctx context.Context, names []session.Address) (confirmed bool)
	// Leave takes the members back. It does not block.
	Leave(names []session.Address)
}

// List is the members of this process. It is safe for concurrent use.
type List struct {
	hub         *session.Hub
	bus         Bus
	unconfirmed func()
}

// New makes the list of a hub and a bus. Unconfirmed is called for each join that
// Redis has not confirmed in time; the change counts all the same.
func New(hub *session.Hub, bus Bus, unconfirmed func()) *List {
	return &List{hub: hub, bus: bus, unconfirmed: unconfirmed}
}

// Enter makes a session findable under its id and its first membership, and queues
// its first messages in the same step. [List.Leave] ends it, after an error too.
func (l *List) Enter(ctx context.Context, s *session.Session, first session.Membership, messages ...*session.Message) error {
	l.join(ctx, append(first.Addresses(), session.Conn(s.ID())))
	return l.hub.Add(s, first, messages...)
}

// Change gives a session a new membership and queues messages for it, in one step.
// The caller holds [session.Session.LockChanges]. After [List.Leave] it returns
// [session.ErrEnded].
func (l *List) Change(ctx context.Context, s *session.Session, next session.Membership, messages ...*session.Message) error {
	joined, left := s.Membership().Diff(next)
	l.join(ctx, joined)
	err := l.hub.Set(s, next, messages...)
	if errors.Is(err, session.ErrEnded) {
		left = joined // what was left, Leave has given up
	}
	l.bus.Leave(left)
	return err
}

// Move does to a session what a command of others says that changes its channels,
// at most so many (0: no limit): the change, then the message, then the close. It
// reports whether the command means the session.
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
	}
	l.bus.Leave(left)
	return meant, err
}

// Leave makes a session unfindable for ever. Later calls, and one without Enter, do
// nothing.
func (l *List) Leave(s *session.Session) {
	l.bus.Leave(l.hub.Remove(s))
}

func (l *List) join(ctx context.Context, names []session.Address) {
	if len(names) > 0 && !l.bus.Join(ctx, names) {
		l.unconfirmed()
	}
}
