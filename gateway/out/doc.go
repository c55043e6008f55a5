// Package out is how bytes leave: what waits for a client, in order and within
// bounds, and how it is written to a socket, with deadlines. It knows encodings,
// priorities and time; frames, opcodes and close codes are a transport's, such as
// package ws, which owns an [Outlet] for each client:
//
//	outlet.Init(transport, shared, &out.Limits{QueueLimit: 1 << 20, WriteTimeout: 30 * time.Second})
//	outlet.Attach(socket)
//	outlet.Open()
//	err := outlet.Push(message.Encoding(frames)) // session.ErrFull: Flush, then Push again
//	outlet.Flush()                               // never waits for the client
//	outlet.Finish(lastBytes)
//
// One goroutine at a time writes: what has begun is finished before something else
// begins. Outlet.mu is the only lock of a delivery; the transport's own lock, if it
// has one, comes before it, and the transport is called back without it.
//
// What waits for all clients together is bounded by [Outgoing], what is being received
// from them by [Budget]. [Scheduler] is their clock.
//
// Reading order: outlet.go, writer.go, stall.go, bound.go, queue.go, outgoing.go, socket.go;
// scheduler.go, budget.go, stats.go.
package out
