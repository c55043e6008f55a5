package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"wsfpm/gateway/answer"
	"wsfpm/gateway/durable"
	"wsfpm/gateway/excerpt"
	"wsfpm/session"
)

// Log is the log of durable messages; package durable implements it.
type Log interface {
	session.Window
	// Listen passes on, to one listener, what is read from the log.
	Listen(to durable.Listener)
	// Append stores commands, together or not at all, and returns their positions. It waits
	// for a bounded time.
	Append(ctx context.Context, commands []session.Command) ([]session.Position, error)
	// Age is that of the entry that follows p; zero if there is none.
	Age(p session.Position) time.Duration
	// Await waits, for a bounded time, until this process has read up to p: a client may come
	// from another one that is ahead. It reports whether p may be in the window.
	Await(ctx context.Context, p session.Position) bool
	// Shut reports whether the log cannot be used at all, because a right is missing.
	Shut() bool
	// Ready returns why the log is not loaded, or nil.
	Ready() error
}

// errNoLog is returned for durable commands without a log.
var errNoLog = errors.New("there is no log: durable.keep is 0")

// storesAll reports whether what answers send to others goes through the log by itself: the
// route resumes, or does so since a reload, and others come back by it.
func (c *connection) storesAll() bool {
	return c.resumes() || c.route().Resume && c.g.durable != nil && !c.g.durable.Shut()
}

// pushes are what an answer sends to others.
type pushes struct {
	entries []session.Command // through the log
	rest    []session.Command // otherwise, and what it purges
}

// pushes divides what an answer sends to others.
func (c *connection) pushes(a *answer.Reply) (p pushes, err error) {
	all := c.storesAll()
	first := 0
	for first < len(a.Others) && !isEntry(&a.Others[first], all) {
		first++
	}
	p.rest = a.Others[:first:first] // usually all of them: no copy
	for i := first; i < len(a.Others); i++ {
		o := &a.Others[i]
		if !isEntry(o, all) {
			p.rest = append(p.rest, *o)
			continue
		}
		if err := c.g.storable(o); err != nil {
			return p, failed("command %d for others: %v", i+1, err)
		}
		p.entries = append(p.entries, o.Resolve(c.id()))
	}
	return p, nil
}

// isEntry reports whether a command goes through the log. On a route that resumes these are
// all but those that say otherwise, change channels or end a relay: a client that comes back would else
// be told that it has missed nothing.
func isEntry(c *session.Command, resumes bool) bool {
	if c.Durable != nil {
		return *c.Durable
	}
	if len(c.To) == 0 { // it only purges
		return false
	}
	return resumes && len(c.Join)+len(c.Leave) == 0 && c.Relay == nil
}

// storable returns why a command cannot be stored, or nil.
func (g *Gateway) storable(c *session.Command) error {
	if g.durable == nil {
		return errNoLog
	}
	return durable.Check(c, int64(g.settings.Load().Redis.PushLimit))
}

// store stores the entries of an answer. It is the last check of the answer: if they are
// not stored, or if that is unknown, the event fails.
func (c *connection) store(ctx context.Context, entries []session.Command) error {
	if len(entries) == 0 {
		return nil
	}
	_, err := c.g.durable.Append(ctx, entries)
	return err
}

// storeFirst is store for the answer to connect.
func (c *connection) storeFirst(ctx context.Context, entries []session.Command) error {
	err := c.store(context.WithoutCancel(ctx), entries)
	if err == nil {
		return nil
	}
	refused := refuse(http.StatusServiceUnavailable, "log", "%v", err).later(5)
	refused.close, refused.cause = &closeFailed, err
	return refused
}

// PushError is the error of [Gateway.Push] for a command that is refused: the caller's
// mistake.
type PushError struct{ Err error }

// Error returns the cause.
func (e *PushError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *PushError) Unwrap() error { return e.Err }

// Stored is the part of a push that went through the log.
type Stored struct {
	At        []session.Position // of the durable commands, in order
	Delivered int                // matching connections on this node
	Rest      []session.Command  // the others
}

// Store stores the durable ones of pushed commands, together or not at all. A command that
// cannot be stored, or a purge of a path that no route has, is a [PushError].
func (g *Gateway) Store(ctx context.Context, commands []session.Command) (s Stored, err error) {
	var entries []session.Command
	now := g.settings.Load()
	for i, c := range commands {
		if path := now.unmeant(c.Purge); path != "" {
			return Stored{}, &PushError{fmt.Errorf("command %d: no route of this node has the path %q that it purges", i+1, excerpt.Of(path))}
		}
		if c.Durable == nil || !*c.Durable {
			s.Rest = append(s.Rest, c)
			continue
		}
		if err := g.storable(&c); err != nil {
			return Stored{}, &PushError{fmt.Errorf("command %d: %w", i+1, err)}
		}
		entries = append(entries, c)
		s.Delivered += g.hub.Count(&c)
	}
	if len(entries) > 0 {
		s.At, err = g.durable.Append(ctx, entries)
	}
	return s, err
}
