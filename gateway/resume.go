package gateway

import (
	"context"
	"net/url"
	"strings"
	"time"

	"wsfpm/gateway/answer"
	"wsfpm/gateway/envelope"
	"wsfpm/gateway/once"
	"wsfpm/session"
)

// returning is what a handshake says of its client's place in the log.
type returning struct {
	asked bool             // the client named a position
	last  session.Position // that position; zero: none, or it is of no use
	was   string           // the client's former connection
	began session.Position // the session's position when the connect event began
	told  envelope.Resume  // what PHP is told
}

// arriving is what is known of a client until it has entered the hub.
type arriving struct {
	returning
	offered []string // subprotocols, WS_PROTOCOLS
}

// parseReturning reads ws_last and ws_was of a query, which a client may have forged. A
// position that is empty, not readable or there twice counts as asked for.
func parseReturning(query string) (r returning) {
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		value, err := url.QueryUnescape(value)
		switch {
		case name == "ws_last" && r.asked:
			r.last = session.Position{}
		case name == "ws_last":
			r.asked = true
			if err == nil {
				r.last, _ = session.ParsePosition(value) // zero after an error
			}
		case name == "ws_was" && err == nil && session.CheckName(value) == nil:
			r.was = strings.Clone(value) // else it keeps the query in memory
		}
	}
	return r
}

// resumes reports whether clients of the connection's route get what they missed.
func (c *connection) resumes() bool {
	return c.rt.Resume && c.g.durable != nil && !c.g.durable.Shut()
}

// beginConnect notes where in the log the connect event begins, and decides what PHP is
// told. Messages that come meanwhile are sent after the answer. The wait for the client's position
// comes first: before the log is loaded there is no place to begin at.
func (c *connection) beginConnect(ctx context.Context) {
	r := c.arriving
	switch {
	case !r.asked:
		r.told = envelope.New
	case c.resumes() && c.knows(ctx, r.last):
		r.told = envelope.OK
	default:
		r.told = envelope.Gap
	}
	if c.resumes() {
		c.rt.switchedAt(c.g.durable.Newest) // before the client gets a position of its own
	}
	r.began = c.g.hub.Position(c.session)
}

// knows reports whether this process holds what followed a position, and that is not too
// old: a client that forges a position reads no more than resume_age of its channels.
func (c *connection) knows(ctx context.Context, last session.Position) bool {
	log := c.g.durable
	if last.IsZero() || !log.Await(ctx, last) || !c.g.hub.Knows(last) {
		return false
	}
	switched, noted := c.rt.switchedAt(log.Newest)
	if !noted || c.g.hub.Knows(switched) && !last.After(switched) { // else all that is held is newer
		return false
	}
	return log.Age(last) <= time.Duration(c.rt.ResumeAge)
}

// arrival is how the client enters the hub after an answer to connect. A client that was
// closed because its queue was full has missed about limits.queue bytes, and more come
// until it is back: so it may get twice as many.
func (c *connection) arrival(a *answer.Reply, first session.Membership) session.Arrival {
	r, now := c.arriving, c.g.settings.Load()
	arrival := session.Arrival{
		Membership: first, Began: r.began, Live: a.Head.Live, Was: r.was,
		MostMessages: now.Durable.Replay, MostBytes: 2 * int(now.Limits.Queue),
	}
	if r.told == envelope.OK {
		arrival.Last = r.last
	}
	switch from := &a.Head.Resume; {
	case from.Never && r.asked:
		arrival.Last, r.told = session.Position{}, envelope.Gap
	case from.After.After(arrival.Last) && r.told == envelope.OK:
		arrival.Last = from.After
	}
	if c.wraps() {
		c.socket.Wrap(c.pinged)
	}
	gap := c.gapMessage()
	c.session.SetGap(gap)
	arrival.Greet = func(how session.Resumption, at session.Position) (before, behind []*session.Message) {
		c.countResume(how)
		if how == session.Gap {
			return c.greetLost(a, gap), nil
		}
		return c.greet(a, gap, at)
	}
	return arrival
}

// countResume counts a client that named a position, by its outcome.
func (c *connection) countResume(how session.Resumption) {
	outcome := 1
	switch {
	case !c.arriving.asked || !c.resumes():
		return
	case how == session.Gap:
		outcome = 2
	case c.arriving.told == envelope.OK:
		outcome = 0
	}
	c.g.stats.resumes[outcome].Add(1)
}

// gapMessage is what the client is told when messages may be missing; nil: nothing.
func (c *connection) gapMessage() *session.Message {
	switch {
	case !c.resumes():
		return nil
	case c.wraps():
		return c.g.missing
	}
	return c.rt.gap
}

// greet returns the messages to a client before and behind those that it has missed. A
// client that begins gets connect's body first, which carries the position, so that one
// that is cut off before the body has none. At is the zero value without a log.
func (c *connection) greet(a *answer.Reply, gap *session.Message, at session.Position) (before, behind []*session.Message) {
	body := a.Messages(nil)
	told := c.arriving.told
	switch {
	case !c.wraps() && told == envelope.OK:
		return nil, body
	case !c.wraps() && told == envelope.Gap && gap != nil:
		return append([]*session.Message{gap}, body...), nil
	case !c.wraps():
		return body, nil
	case !c.resumes():
		return append([]*session.Message{c.hello(envelope.Off)}, body...), nil
	case told == envelope.OK:
		return []*session.Message{c.hello(envelope.OK)}, body
	}
	return append([]*session.Message{c.hello(told)}, placed(body, at)...), nil
}

// greetLost is greet for a client that misses messages which PHP does not know of: they
// came while its script ran, or its place was lost meanwhile.
func (c *connection) greetLost(a *answer.Reply, gap *session.Message) []*session.Message {
	var before []*session.Message
	if c.wraps() {
		how := envelope.Gap
		if !c.resumes() {
			how = envelope.Off
		}
		before = append(before, c.hello(how))
	}
	if gap != nil {
		before = append(before, gap)
	}
	return a.Messages(before)
}

// placed gives the last of the messages a position.
func placed(body []*session.Message, at session.Position) []*session.Message {
	if at.IsZero() {
		return body
	}
	if len(body) == 0 {
		return append(body, envelope.At(at))
	}
	last := body[len(body)-1]
	body[len(body)-1] = session.NewMessageWith(session.Head{At: at}, last.Binary(), last.Data())
	return body
}

func (c *connection) hello(how envelope.Resume) *session.Message {
	h := envelope.Hello{Conn: c.id(), Resume: how, Ping: time.Duration(c.g.settings.Load().Limits.PingInterval)}
	if c.user != "" {
		h.User = once.User(c.user)
	}
	if c.runsOnce(c.user) {
		h.Once, h.Most = time.Duration(c.rt.Once), mostOnce
	}
	return h.Message()
}

// pinged shows the client that the connection works, as a page does not see pings, and names
// its place in the log. See [ws.Conn.Wrap].
func (c *connection) pinged() {
	defer c.g.recovered("ping", nil)
	_ = c.g.hub.Tell(c.session, func(at session.Position) *session.Message { // a client that left needs no message
		if !c.resumes() {
			at = session.Position{}
		}
		return envelope.At(at)
	})
}
