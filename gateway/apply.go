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
	if err := c.applyOwn(ctx, a); err != nil {
		return err
	}
	if len(a.Head.Cookies) > 0 {
		c.keepCookies(a.Head.Cookies)
		if !c.told {
			c.told = true
			c.log().Info("Set-Cookie after the connect event is kept for later events; the browser does not receive it")
		}
	}
	c.effects(ctx, a)
	return c.drained(ctx)
}

// applyOwn changes the connection's membership and queues its messages.
func (c *connection) applyOwn(ctx context.Context, a *answer.Reply) error {
	var room [4]*session.Message
	messages := a.Messages(room[:0])
	if !a.IsChange() {
		return notEnded(c.session.Reply(messages...))
	}
	c.session.LockChanges()
	defer c.session.UnlockChanges()
	old := c.session.Membership()
	next, err := c.membershipAfter(a, old)
	if err != nil {
		return err
	}
	if old.Equal(next) {
		return notEnded(c.session.Reply(messages...))
	}
	if !c.g.admission.moveUser(c.user, next.User, c.g.settings.Load().Limits.ConnectionsPerUser) {
		c.close(closeTooMany)
		return failed("limits.connections_per_user is reached for the user that WS-User names")
	}
	c.user = next.User
	return notEnded(c.g.members.Change(ctx, c.session, next, messages...))
}

// membershipAfter returns the connection's membership after an answer, within
// limits.channels.
func (c *connection) membershipAfter(a *answer.Reply, old session.Membership) (session.Membership, error) {
	next, err := a.Membership(old, c.g.settings.Load().Limits.Channels)
	if err != nil {
		c.g.stats.reached.channels.Add(1)
		err = failed("%v (limits.channels)", err)
	}
	return next, err
}

// effects carries out an answer except its connection's membership and reply.
func (c *connection) effects(ctx context.Context, a *answer.Reply) {
	if a.Oddity != "" && c.g.once.first(c.script+a.Oddity) {
		c.log().Warn("odd answer", zap.String("oddity", a.Oddity))
	}
	published := c.publish(ctx, a.Others)
	with := a.Closing()
	if with == nil {
		return
	}
	if !published {
		c.close(*with)
		return
	}
	c.closeBehindPushes(ctx, *with)
}

// cameIn notes the time at which the client entered the hub. Commands of its connect answer
// that close others or make them leave do not apply to clients that enter later. If two
// clients close each other, the one that entered later therefore remains.
func (c *connection) cameIn(others []session.Command) {
	at := time.Now().UnixNano()
	c.session.CameIn(at)
	for i := range others {
		if o := &others[i]; o.Close != nil || len(o.Leave) > 0 {
			o.Before = at
		}
	}
}

// closeBehindPushes closes a connection that its last answer may have published to. The
// close is published too, so that it arrives after the push. If it is lost, the connection
// is closed here after redis.confirm.
func (c *connection) closeBehindPushes(ctx context.Context, with session.Close) {
	c.discard(c.inbox.close(true)...)
	c.publish(ctx, []session.Command{{To: []session.Address{session.Conn(c.id())}, Close: &with}})
	timer := time.NewTimer(time.Duration(c.g.settings.Load().Redis.Confirm))
	defer timer.Stop()
	select {
	case <-c.socket.Ended():
	case <-timer.C:
		c.close(with)
	}
}

// publish sends commands to every node, including this one. The event waits until Redis has
// confirmed them, which keeps the order of what one connection publishes. It reports
// whether anything was published.
func (c *connection) publish(ctx context.Context, others []session.Command) (published bool) {
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
