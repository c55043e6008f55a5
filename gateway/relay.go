package gateway

import (
	"context"
	"math"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"wsfpm/gateway/envelope"
	"wsfpm/gateway/relay"
	"wsfpm/session"
)

// mostCopied is how many bytes of relayed frames wait for the script of one client, with
// [relay.Overhead].
const mostCopied = 64 << 10

// lane is a connection's [relay.Lane] with its clock. It is owned by the goroutine that runs the
// connection's events.
type lane struct {
	relay.Lane
	limiter *rate.Limiter
	timer   *time.Timer
	set     time.Time // when the timer fires; zero: it is not set
	counted int       // bytes of it in Shared.Memory
}

// relays sends the current message on without PHP, if the client's relay takes it.
func (c *connection) relays(e *event) bool {
	r, from := c.session.Relay()
	if !r.Takes(e.binary, e.body) {
		return false
	}
	if c.lane == nil {
		c.lane = new(lane)
	}
	c.answerFrame(c.relayFrame(relay.Frame{Binary: e.binary, Data: e.body}, r, from))
	return true
}

// relayFrame sends a frame, or lets it wait for the end of a span. It reports false for a frame
// that is lost.
func (c *connection) relayFrame(f relay.Frame, r *session.Relay, from session.Address) bool {
	frames, l := &c.g.stats.frames, &c.g.settings.Load().Limits
	switch {
	case r.Ended:
		frames[frameEnded].Add(1)
		return false
	case l.RelayFrame > 0 && len(f.Data) > int(l.RelayFrame):
		c.frameTooLarge("limits.relay_frame", len(f.Data))
		return false
	}
	send, replaced := c.lane.Offer(f, r, time.Now())
	if replaced {
		frames[frameReplaced].Add(1)
	}
	return !send || c.sendFrame(f, r, from)
}

// frameTooLarge counts a frame that is dropped, and logs the first of a script.
func (c *connection) frameTooLarge(limit string, size int) {
	c.g.stats.frames[frameTooLarge].Add(1)
	if c.g.once.first("relay " + c.script.Value()) {
		c.log().Warn("frame not relayed: it is too large", zap.String("limit", limit), zap.Int("bytes", size))
	}
}

// sendFrame publishes a frame as soon as the rate allows it. The connection's next message waits
// for Redis meanwhile, which keeps the order.
func (c *connection) sendFrame(f relay.Frame, r *session.Relay, from session.Address) bool {
	s := c.g.settings.Load()
	perSecond := s.Limits.RelayPerSecond
	if r.Rate > 0 && (perSecond <= 0 || r.Rate < perSecond) {
		perSecond = r.Rate
	}
	c.pace(&c.lane.limiter, perSecond, int(math.Ceil(perSecond)), &c.g.stats.reached.relayed)
	if now, _ := c.session.Relay(); now != r { // ended, or set anew, while the frame waited
		c.g.stats.frames[frameEnded].Add(1)
		return false
	}
	command := relay.Command(f, r, from, c.id())
	if size := len(command.Message.Data()); int64(size) > int64(s.Redis.MostFrame()) { // its sender and escapes are around a text
		c.frameTooLarge("redis.push_limit", size)
		return false
	}
	if c.session.Behind() || c.g.bus.Publish(context.Background(), command) != nil {
		c.g.lostFrame(c.session, r.To)
		return false
	}
	c.g.stats.frames[frameSent].Add(1)
	if r.Copy > 0 && c.route().asks[kindMessage] {
		c.lane.Sent(f, r, time.Now(), copied(c.g.sockets.Memory.Share()))
	}
	return true
}

// copied returns how many bytes of frames may wait for the script of one client when so much of
// the memory of messages is held.
func copied(share float64) int {
	switch {
	case share > 2./3:
		return relay.None // those that sent nothing since keep theirs, and messages need the rest
	case share > 1./2:
		return 0 // the newest frame alone
	}
	return mostCopied
}

// answerFrame replies to the current message, if it has an id, that its frame was taken or not.
func (c *connection) answerFrame(taken bool) {
	if c.re == "" {
		return
	}
	reply := envelope.Reply{To: c.re}
	if !taken {
		reply.Error = envelope.Failed
	}
	_ = c.session.Reply(reply.Message()) // a client that left needs no message
}

// relayDue sends the frame whose span is over, and returns the event with the script's copies,
// if they are due.
func (c *connection) relayDue() (e event, found bool) {
	l := c.lane
	l.set = time.Time{}
	f, r, held := l.Due(time.Now())
	c.sendHeld(f, r, held)
	return c.copyEvent(l.Copies(time.Now(), false))
}

// relayRest is relayDue at the end of the connection, after which nothing waits any more.
func (c *connection) relayRest() (e event, found bool) {
	l := c.lane
	if l.timer != nil {
		l.timer.Stop()
	}
	defer func() { // after a panic too
		l.Lane = relay.Lane{}
		c.countLane()
	}()
	c.sendHeld(l.Rest())
	return c.copyEvent(l.Copies(time.Now(), true))
}

func (c *connection) sendHeld(f relay.Frame, r *session.Relay, held bool) {
	if held {
		_, from := c.session.Relay()
		c.sendFrame(f, r, from)
	}
}

// copyEvent returns the message event with which the script gets copies of relayed frames.
func (c *connection) copyEvent(copies relay.Copies, found bool) (e event, made bool) {
	if !found {
		return e, false
	}
	body, err := copies.Body()
	if err != nil {
		c.log().Error("relayed frames were not copied for the script", zap.Error(err))
		return e, false
	}
	c.re = "" // no message of the client asks for an answer
	return event{kind: kindMessage, body: body, frames: copies.Len(), missed: copies.Missed}, true
}

// countLane counts the memory of the lane's frames with that of messages, of which they are no
// part any more.
func (c *connection) countLane() {
	if n := c.lane.Bytes(); n != c.lane.counted {
		c.g.sockets.Memory.Take(int64(n - c.lane.counted))
		c.lane.counted = n
	}
}

// rearm has due called when something in the lane is due.
func (c *connection) rearm(due func()) {
	l := c.lane
	if l == nil {
		return
	}
	c.countLane()
	at := l.Next()
	if at.IsZero() || at.Equal(l.set) {
		return
	}
	l.set = at
	if l.timer == nil {
		l.timer = time.AfterFunc(time.Until(at), due)
		return
	}
	l.timer.Reset(time.Until(at))
}
