// Package ws is the server side of a WebSocket connection (RFC 6455). It is independent of
// sessions, events and PHP:
//
//	conn := ws.New(&ws.Limits{MessageLimit: 64 << 10}, ws.NewShared(256<<20))
//	err := conn.Upgrade(w, r, "") // from now on the handler may return
//	for {
//		m, err := conn.Next(waker) // ErrIdle: the waker is called when there is more
//		…
//		conn.QueueReply(answer)
//		conn.Flush()
//	}
//
// github.com/coder/websocket answers the handshake, unmasks and joins frames, and answers
// pings and Close frames. It receives whole valid frames only and never writes to the
// socket: all output, including its pong and Close frames, is queued in the connection's
// [out.Outlet]. Frames are therefore never interleaved, and a Close frame is the last.
//
// An idle connection that is read with [Conn.Next] is parked: it has no goroutine, no timer
// (all connections share one scheduler) and no read buffer. One goroutine waits for the
// input of all parked connections.
//
// Conn.mu guards the state of the connection (read, closed, parked), the outlet's lock its
// output queue. If both are held, Conn.mu is locked first.
//
// Reading order: options.go, handshake.go; park.go, watch.go, read.go, inflate.go, library.go,
// input.go, overdue.go, shelf.go for input; owner.go, ping.go, expire.go, end.go; send.go, wrap.go,
// deflate.go, frame.go for output; stats.go.
package ws
