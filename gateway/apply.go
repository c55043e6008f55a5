package gateway

import (
	"context"
	"errors"
	"net"
	"time"

	"go.uber.org/zap"

	"wsfpm/gateway/answer"
	"wsfpm/gateway/ws"
	"wsfpm/session"
)

// apply carries out the answer to a message: first the connection's own membership and the
// reply, atomically, then commands to others, then the close. It returns when a slow
// client's queue is within its limit again, which delays only this connection's next event.
func (c *connection) apply(ctx context.Context, a *answer.Reply) error {
	p, err := c.pushes(a)
	if err != nil {
		return err
	}
	c.g.settings.Load().purgeBy(a.Others) // before the reply, after which the client may ask again
	if err := c.applyHeld(ctx, a, p.entries); err != nil {
		return err
	}
	c.relayBy(a)
	if len(a.Head.Cookies) > 0 {
		c.keepCookies(a.Head.Cookies)
		if !c.told {
			c.told = true
			c.log().Info("Set-Cookie after the connect event is kept for later events; the browser does not receive it")
		}
	}
	c.expireBy(a)
	c.effects(ctx, a, p)
	return c.drained(ctx)
}

// relayBy changes the connection's relay as an answer says.
func (c *connection) relayBy(a *answer.Reply) {
	if r := a.Relay(); r != nil {
		c.session.SetRelay(*r, c.ends)
	}
}

// applyHeld is applyOwn for an answer that stores entries: the client takes nothing from
// the log meanwhile, so that its reply precedes them.
func (c *connection) applyHeld(ctx context.Context, a *answer.Reply, entries []session.Command) (err error) {
	if len(entries) == 0 {
		return c.applyOwn(ctx, a, nil)
	}
	c.g.hub.Hold(c.session)
	defer func() { err = errors.Join(err, notEnded(c.g.hub.Release(c.session))) }()
	return c.applyOwn(ctx, a, entries)
}

// applyOwn changes the connection's membership and queues its messages, after every check
// and after it has stored the entries.
func (c *connection) applyOwn(ctx context.Context, a *answer.Reply, entries []session.Command) error {
	var room [4]*session.Message
	messages := a.Messages(room[:0])
	if !a.IsChange() {
		return c.storeAndReply(ctx, a, entries, messages)
	}
	c.session.LockChanges()
	defer c.session.UnlockChanges()
	old := c.session.Membership()
	next, err := c.membershipAfter(a, old)
	if err != nil {
		return err
	}
	if old.Equal(next) {
		return c.storeAndReply(ctx, a, entries, messages)
	}
	if !c.g.admission.moveUser(c.user, next.User, c.g.settings.Load().Limits.ConnectionsPerUser) {
		c.close(closeTooMany)
		return failed("limits.connections_per_user is reached for the user that WS-User names")
	}
	c.user = next.User // the end takes it back, after a panic too
	if messages, err = c.commit(ctx, a, entries, messages); err != nil {
		c.g.admission.moveUser(c.user, old.User, 0)
		c.user = old.User
		return err
	}
	return notEnded(c.g.members.Change(ctx, c.session, next, messages...))
}

// storeAndReply stores the entries of an answer that changes nothing, and queues its
// messages.
func (c *connection) storeAndReply(ctx context.Context, a *answer.Reply, entries []session.Command, messages []*session.Message) error {
	messages, err := c.commit(ctx, a, entries, messages)
	if err != nil {
		return err
	}
	return notEnded(c.session.Reply(messages...))
}

// commit stores an answer's entries, then keeps its messages, if they answer one that runs
// once: after a crash between the two the script runs again, rather than an entry missing.
// It returns the messages as the client gets them.
func (c *connection) commit(ctx context.Context, a *answer.Reply, entries []session.Command, messages []*session.Message) ([]*session.Message, error) {
	if err := c.store(ctx, entries); err != nil {
		return nil, err
	}
	if c.re != "" && !a.Head.IsStream() {
		messages = c.replies(ctx, messages)
	}
	return messages, nil
}

// membershipAfter returns the connection's membership after an answer, within
// limits.channels. The answer's relay must agree with it.
func (c *connection) membershipAfter(a *answer.Reply, old session.Membership) (session.Membership, error) {
	next, err := a.Membership(old, c.g.settings.Load().Limits.Channels)
	if err != nil {
		c.g.stats.reached.channels.Add(1)
		return next, failed("%v (limits.channels)", err)
	}
	if r := a.Relay(); r != nil && !r.Allows(next) {
		return next, failed("WS-Relay names %v, which the client has not joined", r.To)
	}
	return next, nil
}

// effects carries out an answer except its connection's membership and reply, and the
// entries that it has stored.
func (c *connection) effects(ctx context.Context, a *answer.Reply, p pushes) {
	if a.Oddity != "" && c.g.once.first(c.script.Value()+a.Oddity) {
		c.log().Warn("odd answer", zap.String("oddity", a.Oddity))
	}
	published := c.publish(ctx, p.rest)
	with := c.closeAfter(a)
	if with == nil {
		return
	}
	switch {
	case len(p.entries) > 0:
		c.closeBehindEntries(ctx, *with)
	case published:
		c.closeBehindPushes(ctx, *with)
	default:
		c.close(*with)
	}
}

// cameIn notes the time at which the client entered the hub. Commands of its connect answer
// that close others or make them leave do not apply to clients that enter later. If two
// clients close each other, the one that entered later therefore remains.
func (c *connection) cameIn(others []session.Command) {
	at := time.Now().UnixNano()
	c.session.CameIn(at)
	for i := range others {
		if o := &others[i]; o.Close != nil || len(o.Leave) > 0 || o.Relay != nil {
			o.Before = at
		}
	}
}

// closeBehindPushes closes a connection that its last answer may have published to. The
// close is published too, so that it arrives after the push. If it is lost, the connection
// is closed here after redis.confirm.
func (c *connection) closeBehindPushes(ctx context.Context, with session.Close) {
	c.discard(c.inbox.close(true)...)
	c.awaitClose(with, c.publish(ctx, []session.Command{{To: []session.Address{session.Conn(c.id())}, Close: &with}}))
}

// closeBehindEntries closes a connection that its last answer may have sent to through the
// log: the close takes the same way.
func (c *connection) closeBehindEntries(ctx context.Context, with session.Close) {
	c.discard(c.inbox.close(true)...)
	_, err := c.g.durable.Append(ctx, []session.Command{{To: []session.Address{session.Conn(c.id())}, Close: &with}})
	c.awaitClose(with, err == nil)
}

// awaitClose waits for a close that was sent through Redis, and closes the connection itself
// if it does not come.
func (c *connection) awaitClose(with session.Close, sent bool) {
	if !sent {
		c.close(with)
		return
	}
	select {
	case <-c.socket.Ended():
	case <-time.After(time.Duration(c.g.settings.Load().Redis.Confirm)):
		c.close(with)
	}
}

// publish sends commands to every node, including this one. The event waits until Redis has
// confirmed them, which keeps the order of what one connection publishes. It reports
// whether anything was published.
func (c *connection) publish(ctx context.Context, others []session.Command) (published bool) {
	c.g.settings.Load().purgeBy(others) // also what is not published
	for i, command := range others {
		err := c.g.bus.Publish(ctx, command.Resolve(c.id()))
		if err == nil {
			published = true
			continue
		}
		lost := others[i : i+1]
		if silent(err) {
			lost = others[i:] // each of them would wait as long
		}
		c.g.stats.publishFailed.Add(int64(len(lost)))
		c.log().Warn("push was lost", zap.Stringers("to", command.To[:min(len(command.To), 5)]),
			zap.Int("commands", len(lost)), zap.Error(err))
		if silent(err) {
			break
		}
	}
	return published
}

// silent reports whether err is a timeout of Redis.
func silent(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// drained waits until the client's queue is within its limit.
func (c *connection) drained(ctx context.Context) error {
	return notEnded(c.socket.Drained(ctx))
}

// notEnded returns nil for errors that only mean that the client has left: the disconnect
// event reports that.
func notEnded(err error) error {
	if errors.Is(err, session.ErrEnded) || isGone(err) {
		return nil
	}
	return err
}

// isGone reports whether an error only means that the client has left.
func isGone(err error) bool {
	return errors.Is(err, ws.ErrClosed) || errors.Is(err, ws.ErrSlow)
}
