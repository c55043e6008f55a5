// Package ws is one WebSocket connection: a socket that messages come out of
// and go into. It knows nothing of sessions, events or PHP.
//
// Begin with [Conn]. github.com/coder/websocket makes the handshake, reads
// frames and answers control frames; it never writes to the socket. Every
// byte that goes out, its pong and close frames included, passes the
// connection's outbox, which one writer at a time empties: so a frame that
// has begun is finished before another begins, and a Close frame is the last.
//
// A connection at rest that is read by [Conn.Next] has no goroutine, no timer
// (all connections have a [Shared] one) and no read buffer: it is parked, and
// one goroutine waits for all that are.
//
// Reading order: options.go, handshake.go, library.go; input.go, shelf.go, overdue.go, frame.go,
// read.go, inflate.go, budget.go for what comes in; outbox.go, writer.go, stall.go,
// unsent_linux.go, deflate.go for what goes out; end.go, owe.go, ping.go, wheel.go, park.go,
// watch_linux.go, stats.go.
package ws
