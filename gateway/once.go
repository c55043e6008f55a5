package gateway

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"wsfpm/gateway/envelope"
	"wsfpm/gateway/once"
	"wsfpm/gateway/ws"
	"wsfpm/session"
)

// mostOnce is how many messages that run once a client may have sent without a reply.
const mostOnce = 10

// onceSlack is what a run may take beside waiting for PHP and its answer.
const onceSlack = 10 * time.Second

// The marks of received messages.
const (
	markCounted uint8 = iota + 1 // it is one of c.flight
	markExcess                   // there were mostOnce before it
	markDue                      // no message: the lane's timer has fired
)

// newGuard returns what runs messages once, or nil without a store.
func newGuard(g *Gateway, store once.Store) *once.Guard {
	if store == nil {
		return nil
	}
	return once.New(once.Config{Store: store, Nodes: nodes{g}, Patience: time.Duration(g.started.Redis.Confirm)})
}

// nodes are the processes that this one knows of, see [once.Nodes].
type nodes struct{ g *Gateway }

// Node is the name of this process.
func (n nodes) Node() string { return n.g.Node() }

// Dead reports whether a process has ended: its beat has not changed for the time of the
// lease. Without beats the run of a process that died is taken over when it is over for
// certain.
func (n nodes) Dead(node string) bool { return n.g.registry != nil && n.g.registry.Dead(node) }

// runsOnce reports whether the messages with an id of a user run once. The route's once is
// that of the handshake: the hello has promised it.
func (c *connection) runsOnce(user string) bool {
	return c.rt.Once > 0 && c.g.guard != nil && c.wraps() && user != ""
}

// count marks a received message that runs once: it is one without a reply, or one too
// many. The reader calls it.
func (c *connection) count(m *ws.Message) {
	if c.rt.Once <= 0 || m.Binary || !c.runsOnce(c.session.Membership().User) {
		return
	}
	in, err := envelope.Parse(bytes.Clone(m.Data)) // unwrap parses it again, and reports the error
	if err != nil || in.ID == "" {
		return
	}
	m.Mark = markExcess
	if c.flight.Load() < mostOnce {
		c.flight.Add(1)
		m.Mark = markCounted
	}
}

// mayRun decides whether the current message is to run. If so, c.run is set when it runs once;
// the caller calls ended. If not, the client has its reply.
func (c *connection) mayRun(ctx context.Context, e *event, excess bool) bool {
	if c.re == "" || c.rt.Once <= 0 {
		return true
	}
	user := c.session.Membership().User
	if !c.runsOnce(user) {
		return true
	}
	if excess {
		c.g.stats.onceMany.Add(1)
		c.notRun(once.Verdict{}, envelope.Many)
		return false
	}
	rt, leaving := e.route, make(chan struct{})
	stop := sync.OnceFunc(func() { close(leaving) })
	if !c.whenLost(stop) {
		stop()
	}
	defer c.whenLost(nil)
	run, v := c.g.guard.Ask(ctx, once.Request{
		Key:     once.Key(c.g.started.Redis.Prefix[0], user, c.re),
		Hash:    once.Hash(c.script.Value(), e.body),
		Keep:    time.Duration(c.rt.Once),
		Longest: rt.upstream.wait + time.Duration(max(rt.Timeout, rt.StreamTimeout)) + onceSlack,
		Wait:    time.Duration(rt.Timeout),
		Most:    int(rt.OnceAnswer),
		Gone:    leaving, // the client does, or the process
	})
	if run == nil {
		c.answerAgain(v)
		return false
	}
	c.run, e.id, e.second = run, c.re, run.Second
	return true
}

// ended lets a repetition of the message go on.
func (c *connection) ended() {
	if c.run != nil {
		c.run.Release()
		c.run = nil
	}
}

// answerAgain replies to a message that is not to run.
func (c *connection) answerAgain(v once.Verdict) {
	switch v.Kind {
	case once.Answer:
		messages := make([]*session.Message, 0, len(v.Messages))
		for _, m := range v.Messages {
			messages = append(messages, session.NewMessage(m.Binary, m.Data))
		}
		_ = c.session.Reply(c.inReply(messages, !v.Kept)...) // a client that left needs no message
	case once.Mismatch:
		c.notRun(v, envelope.Mismatch)
	case once.Unknown:
		c.notRun(v, envelope.Unknown)
	default:
		c.notRun(v, envelope.Busy)
	}
}

// notRun replies that a message does not run, and why.
func (c *connection) notRun(v once.Verdict, word string) {
	if v.Err != nil {
		c.log().Warn("message did not run", zap.String("reply", word), zap.Error(v.Err))
	}
	c.uncount()
	_ = c.session.Reply(envelope.Reply{To: c.re, Error: word}.Message()) // a client that left needs no message
}

// replies makes the messages of an answer replies to the current message, which has an id,
// and keeps them if it runs once.
func (c *connection) replies(ctx context.Context, messages []*session.Message) []*session.Message {
	return c.inReply(messages, c.keep(ctx, once.Answered, messages))
}

// endReplies ends the replies to the current message after a stream.
func (c *connection) endReplies(ctx context.Context) {
	if c.re != "" {
		last := envelope.Reply{To: c.re, Unkept: c.keep(ctx, once.Done, nil)}.Message()
		c.uncount()
		_ = c.session.Reply(last) // a client that left needs no message
		c.re = ""
	}
}

// keep stores that the current message has run, with its replies unless it is a stream. It
// reports whether the client has to be told that they are not kept.
func (c *connection) keep(ctx context.Context, o once.Outcome, replies []*session.Message) (unkept bool) {
	if c.run == nil {
		return false
	}
	kept := make([]once.Message, 0, len(replies))
	for _, m := range replies {
		kept = append(kept, once.Message{Binary: m.Binary(), Data: m.Data()})
	}
	return !c.endRun(ctx, o, kept)
}

// endRun stores the outcome of the current message.
func (c *connection) endRun(ctx context.Context, o once.Outcome, replies []once.Message) (kept bool) {
	kept, err := c.run.End(ctx, o, replies)
	if err != nil {
		c.log().Warn("the outcome of a message was not stored: sent again, it is a second attempt", zap.Error(err))
	}
	return kept
}

// unkeep stores that the current message failed, and returns the error of its reply.
func (c *connection) unkeep(ctx context.Context, err error) (word string) {
	if c.run == nil {
		return envelope.Failed
	}
	var f *failure
	o, word := once.Unclear, envelope.Unknown
	switch {
	case unsent(err):
		o, word = once.Refused, envelope.Busy
	case errors.As(err, &f) && f.refused:
		o, word = once.Refused, envelope.Failed
	}
	c.endRun(ctx, o, nil)
	return word
}
