package gateway

import (
	"context"
	"errors"
	"math"
	"time"

	"wsfpm/gateway/config"
	"wsfpm/gateway/envelope"
	"wsfpm/gateway/ws"
)

// serve runs a connection after the upgrade: the effects of the connect answer a, then its
// messages, then its end. The goroutine that reads a message also handles it; if that takes
// a while, another one reads, see handoff.
//
// An idle client needs no goroutine: serve returns, and the socket calls Wake when there is
// input.
func (c *connection) serve(a *reply) {
	reads := true // and handles the end
	defer func() {
		if reads {
			c.g.leave(c)
		}
	}()
	defer c.g.recovered("connection", c.crashed)
	if a != nil && c.started(a) {
		reads = c.handle()
	}
	for reads {
		m, err := c.socket.Next(c)
		if errors.Is(err, ws.ErrIdle) {
			reads = false
			return
		}
		if err != nil {
			end := c.end()
			reads = false
			c.depart(end)
			return
		}
		if c.received(m) {
			reads = c.handle()
		}
	}
}

// Wake continues serve, see [ws.Waker].
func (c *connection) Wake() { c.serve(nil) }

// started counts the connection. It reports whether the connect answer has effects, which
// [connection.handle] runs before any message.
func (c *connection) started(a *reply) bool {
	c.g.stats.opened.Add(1)
	if len(a.pushes.rest) == 0 && c.closeAfter(&a.Reply) == nil && a.Oddity == "" {
		return false
	}
	c.first = a
	c.inbox.hold()
	return true
}

// received queues a message, and reports whether the caller must handle the queue. It waits
// while the backlog is full. Messages after our own close are dropped.
func (c *connection) received(m ws.Message) (start bool) {
	c.socket.BeginReply() // until discard
	c.count(&m)
	l := &c.g.settings.Load().Limits
	start, taken := c.inbox.put(m, l.Backlog, int(l.BacklogBytes), &c.g.stats.reached.backlog)
	if !taken {
		c.discard(m)
	}
	return start
}

// handle handles the queued messages in order until none is left. It reports whether the
// caller is still the connection's reader; if not, it must not use the connection any more.
func (c *connection) handle() (reads bool) {
	defer c.g.recovered("handler", func() {
		reads = c.g.handoff.remove(c)
		c.close(closeFailed)
		c.inbox.stop()
	})
	c.g.handoff.add(c)
	if a := c.first; a != nil {
		c.first = nil
		c.effects(context.Background(), &a.Reply, a.pushes)
	}
	for {
		c.each()
		reads = c.g.handoff.remove(c)
		if c.inbox.rest() {
			return reads
		}
		if reads { // the lane's timer has put its mark in at the last moment
			c.g.handoff.add(c)
		}
	}
}

// due has handled what the connection's lane holds, in its turn. The lane's timer calls it: it
// handles the queued messages if none does, while another goroutine reads.
func (c *connection) due() {
	defer c.g.recovered("handler", func() {
		c.close(closeFailed)
		c.inbox.stop()
	})
	m := ws.Message{Mark: markDue}
	c.socket.BeginReply() // until discard
	start, taken := c.inbox.put(m, math.MaxInt, math.MaxInt, nil)
	if !taken {
		c.discard(m)
	}
	for start {
		c.each()
		start = !c.inbox.rest()
	}
}

// each handles the queued messages.
func (c *connection) each() {
	for m, found := c.inbox.take(); found; m, found = c.inbox.take() {
		c.one(m)
	}
}

// one handles one message.
func (c *connection) one(m ws.Message) {
	defer c.rearm(c.due)
	defer c.awaitScript()
	defer c.discard(m)
	if m.Mark != markDue {
		c.message(m)
		return
	}
	if e, found := c.relayDue(); found {
		c.perform(e, false)
	}
}

// awaitScript waits for the script of a failed event or cancelled stream, so that no two
// events overlap. The pool bounds the wait.
func (c *connection) awaitScript() {
	if c.running != nil {
		<-c.running
		c.running = nil
	}
}

// crashed closes a connection after a panic.
func (c *connection) crashed() {
	c.close(closeFailed)
	if !c.over {
		c.socket.CloseNow()
		c.end()
	}
}

// message relays one message, or calls PHP for it.
func (c *connection) message(m ws.Message) {
	e := event{kind: kindMessage, binary: m.Binary, body: m.Data}
	if !c.unwrap(&e) {
		return
	}
	c.counted = m.Mark == markCounted
	defer c.uncount()
	if c.relays(&e) {
		return
	}
	l := &c.g.settings.Load().Limits
	c.pace(&c.limiter, l.MessagesPerSecond, l.Burst, &c.g.stats.throttled)
	c.perform(e, m.Mark == markExcess)
}

// perform calls PHP for one message and applies the answer. Excess: the client has too many
// messages without a reply.
func (c *connection) perform(e event, excess bool) {
	rt := c.route()
	e.route, c.ends = rt, c.session.RelayEnds()
	c.seq++
	e.seq = c.seq
	if !rt.asks[kindMessage] {
		c.replyFailed(envelope.Failed, "")
		return
	}
	ctx := context.Background() // only the route's timeout ends a handler: see Drain
	if !c.mayRun(ctx, &e, excess) {
		return
	}
	defer c.ended()
	a, err := c.answer(ctx, e)
	if err == nil {
		err = c.apply(ctx, &a.Reply)
		c.concluded(&e, &a, err)
	}
	switch {
	case errors.Is(err, errTakenOver):
		c.unkeep(ctx, err) // the client is sent away
	case err != nil:
		c.failed(ctx, rt, err)
	}
}

// failed logs a failed event and applies the route's on_error.
func (c *connection) failed(ctx context.Context, rt *route, err error) {
	c.logFailure(kindMessage, err)
	c.replyFailed(c.unkeep(ctx, err), errorText(rt, err))
	if rt.OnError == config.OnErrorClose {
		c.close(closeFor(err))
	}
}

// endLane handles what the connection's lane holds at the end. A bug in that ends nothing else.
func (c *connection) endLane() {
	if c.lane == nil {
		return
	}
	defer c.awaitScript()
	defer c.g.recovered("handler", nil)
	if e, found := c.relayRest(); found {
		c.perform(e, false)
	}
}

// end waits for the running handler and, unless the connection was lost, for the messages
// received before its end; then the script gets the rest of its copies. Nothing is sent to the
// client afterwards.
func (c *connection) end() cause {
	c.over = true
	end := cause{took: time.Since(c.since)}
	end.code, end.reason, _ = c.socket.Cause()
	c.g.members.Leave(c.session)
	dropped := c.inbox.close(end.code == lostCode)
	c.g.stats.dropped.Add(int64(len(dropped)))
	c.discard(dropped...)
	c.endStream(true)
	c.inbox.wait()
	c.endLane()
	c.g.admission.moveUser(c.user, "", 0)
	c.g.admission.release(&c.client)
	c.g.stats.closed(end.code, c.route())
	return end
}
