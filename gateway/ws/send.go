package ws

import (
	"context"
	"time"

	"wsfpm/prefetch"
	"wsfpm/session"
)

// Queue queues a push, see [out.Outlet.Push]. A caller that holds no lock calls
// [Conn.Flush] afterwards. A message for clients with envelopes alone is dropped for others,
// without an error.
func (c *Conn) Queue(m *session.Message) error {
	if c.pinged == nil && m.Head().Raw != nil {
		return nil
	}
	return c.out.Push(c.encoding(m))
}

// QueueReply queues a reply. It ignores the limits, see [Conn.Drained]. Otherwise it is
// like [Conn.Queue]. A message in raw form that is not a reply is a notice, see
// [out.Outlet.Notice].
func (c *Conn) QueueReply(m *session.Message) error {
	h := m.Head()
	switch {
	case h.Raw == nil, h.Re != "" && c.pinged != nil:
		return c.out.Reply(c.encoding(m))
	case c.pinged == nil:
		return nil
	}
	return c.out.Notice(c.encoding(m))
}

// Flush writes the queue as far as possible without waiting, see [out.Outlet.Flush].
func (c *Conn) Flush() { c.out.Flush() }

// Prefetch implements session.Outlet: it prefetches the fields that Queue and Flush use.
func (c *Conn) Prefetch() { prefetch.First(c, hot) }

// Drained waits until the queue is within Limits.Out, or the connection cannot write any
// more. Its only error is that of ctx.
func (c *Conn) Drained(ctx context.Context) error { return c.out.Drained(ctx) }

// Buffered returns the number of bytes queued.
func (c *Conn) Buffered() int64 { return c.out.State().Waiting }

// Quiet returns the time since the last message in either direction. It returns false
// before Upgrade.
func (c *Conn) Quiet() (time.Duration, bool) { return c.out.Quiet() }
