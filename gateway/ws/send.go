package ws

import (
	"context"
	"time"

	"wsfpm/session"
)

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
