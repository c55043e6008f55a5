// Package ws is one WebSocket connection: a socket that messages come out of
// and go into. It knows nothing of sessions, events or PHP:
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
// github.com/coder/websocket answers the handshake, unmasks and joins frames, and
// answers pings and Close frames; it sees whole frames that keep the rules, and
// never writes to the socket. Every byte that goes out, its pong and Close frames
// included, passes the connection's [out.Outlet]: so a frame that has begun is finished
// before another begins, and a Close frame is the last.
//
// A connection at rest that is read by [Conn.Next] has no goroutine, no timer
// (all connections have one scheduler) and no read buffer: it is parked, and
// one goroutine waits for all that are.
//
// Conn.mu guards what the connection is (read, closed, parked), the outlet's lock
// what waits for the client; a message takes each where it passes, and where both
// are held Conn.mu comes first.
//
// Reading order: options.go, handshake.go; park.go, watch.go, read.go, inflate.go, library.go,
// input.go, overdue.go, shelf.go for what comes in; owner.go, ping.go, end.go; send.go,
// deflate.go, frame.go for what goes out; stats.go.
package ws
