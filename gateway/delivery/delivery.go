package delivery

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"wsfpm/session"
)

// Options is what a Fanout asks of its owner. All are required.
type Options struct {
	// Move changes one client's channels as a command says, then does the rest of
	// the command, and reports whether the client was meant. It may wait for Redis
	// until ctx ends.
	Move func(ctx context.Context, s *session.Session, c *session.Command) (meant bool)
	// Patience returns a context that bounds the wait of one command's moves.
	Patience func() (context.Context, context.CancelFunc)
	// Delivered counts the sessions that commands reach.
	Delivered *atomic.Int64
	// Recovered is called, deferred, where a bug may panic: it recovers and logs.
	Recovered func()
}

// Fanout delivers commands to the sessions of a hub. It is safe for concurrent use.
type Fanout struct {
	Options
	hub     *session.Hub
	workers []*worker // by shard
	stalls  atomic.Int64
	running sync.WaitGroup
}

// Stats are counts since the start, and what waits now.
type Stats struct {
	Stalls  int64 // commands that had to wait for room in a queue
	Waiting int64 // commands in the queues, each counted in every shard that it goes to
	Bytes   int64 // the memory that they hold, with the moves that wait for Redis and what follows them
}

// New starts a worker for each of the hub's shards. [Fanout.Close] ends them.
func New(hub *session.Hub, o Options) *Fanout {
	f := &Fanout{Options: o, hub: hub}
	for shard := range hub.Shards() {
		f.workers = append(f.workers, newWorker(f, newQueue(), shard))
	}
	for _, w := range f.workers {
		f.running.Go(w.run)
	}
	return f
}

// Deliver queues a command for the shards with clients that it may mean, and for no
// others. It does not block: when a queue is full it returns a function that queues
// the rest, waiting for room until its context ends. A caller that calls it before
// the next Deliver has its commands reach each client in order.
func (f *Fanout) Deliver(c *session.Command) (wait func(context.Context) error) {
	var room [8]task
	tasks := room[:0]
	to := c.To
	if len(to) > 1 && slices.Contains(to, session.All) {
		to = []session.Address{session.All} // the others add no client
	}
	for i, a := range to {
		if a.Kind == session.KindConn {
			if s := f.hub.Conn(a.Name); s != nil {
				tasks = append(tasks, task{command: c, one: s, shard: f.hub.Shard(s)})
			}
			continue
		}
		first := len(tasks)
		if a.Kind == session.KindChannel {
			tasks = f.appendJoining(tasks, c, &to[i])
		}
		joining := len(tasks)
		f.hub.Match(a, func(m *session.Members) {
			own := func(t task) bool { return t.shard == m.Shard() }
			if !slices.ContainsFunc(tasks[first:joining], own) {
				tasks = append(tasks, task{command: c, set: m, shard: m.Shard()})
			}
		})
	}
	return f.push(tasks)
}

// appendJoining adds a task for each shard in which an earlier command that joins is
// not over: the worker looks the channel up when it comes to the task, and finds
// those too that are joining.
func (f *Fanout) appendJoining(tasks []task, c *session.Command, channel *session.Address) []task {
	for shard, w := range f.workers {
		if w.queue.joins.Load() > 0 || w.moving.count.Load() > 0 {
			tasks = append(tasks, task{command: c, channel: channel, shard: shard})
		}
	}
	return tasks
}

// push hands tasks of one command to the queues of their shards. Those of one shard
// go together, since a session that two of them mean gets the command once.
func (f *Fanout) push(tasks []task) (wait func(context.Context) error) {
	for from := range tasks {
		shard := tasks[from].shard
		if shard < 0 {
			continue // queued with an earlier one
		}
		if !f.workers[shard].queue.tryPush(tasks[from:], shard) {
			f.stalls.Add(1)
			return f.later(slices.Clone(tasks[from:]))
		}
	}
	return nil
}

// later is push that waits for room.
func (f *Fanout) later(tasks []task) (wait func(context.Context) error) {
	return func(ctx context.Context) error {
		for from := range tasks {
			shard := tasks[from].shard
			if shard < 0 {
				continue
			}
			if err := f.workers[shard].queue.push(ctx, tasks[from:], shard); err != nil {
				return err
			}
		}
		return nil
	}
}

// Stats is a snapshot.
func (f *Fanout) Stats() Stats {
	s := Stats{Stalls: f.stalls.Load()}
	for _, w := range f.workers {
		count, bytes := w.queue.waiting()
		s.Waiting += int64(count)
		s.Bytes += bytes + w.moving.held()
	}
	return s
}

// Close ends the workers. What waits is dropped, and Deliver does nothing from now
// on. It returns when moves that wait for Redis have ended, too.
func (f *Fanout) Close() {
	for _, w := range f.workers {
		w.queue.close()
	}
	f.running.Wait()
}

// task is a command for the members of one address in one shard, or for one session:
// one of set, one and channel says which.
type task struct {
	command *session.Command
	set     *session.Members // nil: one or channel
	one     *session.Session
	channel *session.Address // to be looked up in its turn, see appendJoining
	shard   int              // -1 once it is queued
	number  uint64           // of the command in its queue
	held    int64            // bytes that it counts for in its queue
}

// taskSize is the memory of a task without its command, in bytes.
const taskSize = 64

// walk calls visit for the sessions of a task, in pieces.
func (t *task) walk(visit func([]*session.Session)) {
	var room [piece]*session.Session
	switch {
	case t.one != nil:
		room[0] = t.one
		visit(room[:1])
		return
	case t.set == nil:
		return // a channel without members
	}
	for n, at := t.set.Before(math.MaxInt, room[:]); n > 0; n, at = t.set.Before(at, room[:]) {
		visit(room[:n])
	}
}

// piece is how many sessions are worked on between two looks at their set.
const piece = 256

// moves reports whether the command changes what the clients are members of.
func (t *task) moves() bool { return len(t.command.Join)+len(t.command.Leave) > 0 }

// members is about how many sessions the task means.
func (t *task) members() int {
	if t.set == nil {
		return 1
	}
	return t.set.Len()
}

// size is about the memory that the task holds with its command, in bytes.
func (t *task) size() int64 {
	const command, name = 256, 40
	c := t.command
	size := taskSize + command + name*(len(c.To)+len(c.Except)+len(c.Join)+len(c.Leave))
	if c.Message != nil {
		size += session.Headroom + len(c.Message.Data())
	}
	return int64(size)
}
