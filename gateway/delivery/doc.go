// Package delivery is the fan-out: it delivers the commands that a node receives to the
// sessions that match.
//
//	d := delivery.New(hub, delivery.Options{Move: move, Delivered: &count})
//	if wait := d.Deliver(&command); wait != nil { // from the reader of Redis
//		err = wait(ctx) // a queue is full
//	}
//
// Each shard of the hub has one queue and one worker, which keeps the order for each
// client. A worker takes all queued commands, up to a bound, queues them for the
// clients, and writes many messages to each in one batch: the higher the load, the fewer
// system calls per delivery. A slow client does not block the worker, because its
// messages are only queued. Neither does Redis: a command that joins or leaves channels
// runs on its own goroutine, and later commands for the same clients are queued after
// it (move.go).
//
// Reading order: delivery.go (from the bus into the queues), queue.go, worker.go,
// move.go.
package delivery
