// Package out is the output of a client: an ordered, bounded queue, and its writer with
// deadlines. It handles encodings, priorities and time; frames, opcodes and close codes
// belong to a transport, such as package ws, which owns one [Outlet] per client:
//
//	outlet.Init(transport, shared, &out.Limits{QueueLimit: 1 << 20, WriteTimeout: 30 * time.Second})
//	outlet.Attach(socket)
//	outlet.Open()
//	err := outlet.Push(message.Encoding(frames)) // session.ErrFull: Flush, then Push again
//	outlet.Flush()                               // never waits for the client
//	outlet.Finish(lastBytes)
//
// One goroutine at a time writes, and pieces are never interleaved. Outlet.mu is the only
// lock of a delivery. A transport's own lock is locked before it; the methods of [Owner]
// are called without it.
//
// [Outgoing] bounds the queues of all clients together, [Budget] the messages being
// received from them. [Scheduler] runs their timers.
//
// Reading order: outlet.go, writer.go, stall.go, bound.go, queue.go, outgoing.go, socket.go;
// scheduler.go, budget.go, stats.go.
package out
