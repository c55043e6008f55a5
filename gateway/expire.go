package gateway

import (
	"time"

	"wsfpm/gateway/answer"
	"wsfpm/session"
)

// closeAfter returns the close that follows an answer's messages, or nil: its own, or that of
// a session whose end it names and that is over.
func (c *connection) closeAfter(a *answer.Reply) *session.Close {
	if with := a.Closing(); with != nil {
		return with
	}
	if at := a.Expires(); at != nil && *at <= time.Now().Unix() {
		with := c.sessionEnd()
		return &with
	}
	return nil
}

// sessionEnd returns the close of a session that is over.
func (c *connection) sessionEnd() session.Close {
	return session.Close{Code: c.route().ExpireCode, Reason: expiredReason}
}

// expireBy changes the end of the connection's session as an answer says, unless that is
// past: closeAfter has it then.
func (c *connection) expireBy(a *answer.Reply) {
	switch at := a.Expires(); {
	case at == nil, *at <= time.Now().Unix():
	case *at == session.Never:
		c.socket.Expire(time.Time{}, nil)
	default:
		c.socket.Expire(time.Unix(*at, 0), func() {
			if c.expire() {
				c.g.loops.Go(c.endSession)
			}
		})
	}
}

// endSession closes the client as a drain does, but no later than an event may last: else the
// messages that it has sent before would prolong its session.
func (c *connection) endSession() {
	with := c.sessionEnd()
	late := time.AfterFunc(time.Duration(c.route().Timeout), func() { c.close(with) })
	defer late.Stop()
	c.drainConn(with)
}

// expire reports whether this is the first call: a connection is closed once.
func (c *connection) expire() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.expired
	c.expired = true
	return first
}

// drainConn closes one client after the messages that it sent before are handled. It
// cancels a running stream, which could last for minutes and so has failed.
func (c *connection) drainConn(with session.Close) {
	c.inbox.close(false)
	c.endStream(false)
	c.inbox.wait()
	c.session.Close(with)
}
