package ws

import (
	"context"
	"time"

	"wsfpm/session"
)

// answerWait is how long a Close frame that the client waits for is kept back
// for an answer that is still being made. Clients give up soon.
const answerWait = time.Second

// late is a Close frame that waits for the owner's answers.
type late struct {
	frame   []byte
	refusal bool // the client broke a rule; else it has closed
	due     time.Duration
}

// Queue adds a push to what waits already, see [out.Outlet.Push]. A caller that holds
// no lock calls [Conn.Flush] afterwards.
func (c *Conn) Queue(m *session.Message) error { return c.out.Push(c.encoding(m)) }

// QueueReply adds a reply to what waits already. The bound is not its
// matter: see [Conn.Drained]. Otherwise it is like [Conn.Queue].
func (c *Conn) QueueReply(m *session.Message) error { return c.out.Reply(c.encoding(m)) }

// Flush writes what is queued, as far as that is possible without waiting, see
// [out.Outlet.Flush].
func (c *Conn) Flush() { c.out.Flush() }

// Drained waits until no more waits for the client than Limits.Out allows of pushes, or
// the connection cannot write any more. Its only error is that of ctx.
func (c *Conn) Drained(ctx context.Context) error { return c.out.Drained(ctx) }

// Buffered is how many bytes wait for the client.
func (c *Conn) Buffered() int64 { return c.out.State().Waiting }

// Quiet is how long no message has come or gone. It reports false before Upgrade.
func (c *Conn) Quiet() (time.Duration, bool) { return c.out.Quiet() }

// BeginReply says that the owner is making an answer to what Read has returned. When
// the client then closes or breaks a rule, the Close frame that ends the
// connection goes out after that answer, as the RFC allows (RFC 6455, 5.5.1),
// but a second later at most. Each BeginReply is followed by one [Conn.EndReply]. It is
// called by the goroutine that calls Read.
func (c *Conn) BeginReply() {
	c.mu.Lock()
	c.owed++
	c.mu.Unlock()
}

// EndReply says that an answer has been queued, or will not come.
func (c *Conn) EndReply() {
	c.mu.Lock()
	c.owed--
	if c.owed == 0 {
		c.sayLateLocked()
	}
	c.unlock()
	c.Flush()
}

// queueControl adds a whole pong or Close frame.
func (c *Conn) queueControl(frame []byte) {
	if frame[0]&0x0f != opClose {
		c.out.Urgent(frame)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.keepBackLocked(frame, false) {
		c.out.Finish(frame)
	}
}

// keepBackLocked keeps the last Close frame back when an answer is due. It
// reports false when none is.
func (c *Conn) keepBackLocked(frame []byte, refusal bool) bool {
	if c.owed == 0 || c.dead || !c.out.State().Accepts() {
		return false
	}
	c.late = &late{frame: frame, refusal: refusal, due: c.shared.Wheel.Now() + answerWait}
	c.out.Arm(c.late.due)
	return true
}

// sayLateLocked queues the Close frame that was kept back. A Close of the
// owner's that came meanwhile stands.
func (c *Conn) sayLateLocked() {
	l := c.late
	if l == nil {
		return
	}
	c.late = nil
	c.out.Finish(l.frame)
	if l.refusal {
		c.lingerLocked()
	}
	c.endLocked()
}
