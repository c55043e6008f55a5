// Package delivery is the fan-out: it hands the commands that a node hears to the
// sessions that they mean.
//
//	d := delivery.New(hub, delivery.Options{Move: move, Delivered: &count})
//	if wait := d.Deliver(&command); wait != nil { // from the reader of Redis
//		err = wait(ctx) // a queue is full
//	}
//
// Each shard of the hub has one queue and one worker, so that what a client gets
// stays in order. A worker takes all that waits, up to a bound, queues it for the
// clients, and writes many messages to each at once: the more there is to deliver, the
// fewer system calls a delivery costs. A client that does not read holds no worker
// up, because its messages only queue. Nor does Redis: a command that joins or leaves
// channels goes on a goroutine of its own, and what follows for the same clients
// waits there (move.go).
//
// Read delivery.go first: the way of a command into the queues. Then queue.go,
// worker.go, move.go.
package delivery
