package delivery

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"wsfpm/session"
)

// Options are the hooks of a Fanout. All are required.
type Options struct {
	// Move applies a command that changes one client's channels, with its message and
	// close, and reports whether the command matched the client. It may wait for Redis
	// until ctx ends.
	Move func(ctx context.Context, s *session.Session, c *session.Command) (meant bool)
	// Patience returns a context that bounds the moves of one command.
	Patience func() (context.Context, context.CancelFunc)
	// Delivered counts the sessions that commands reach.
	Delivered *atomic.Int64
	// Recovered is deferred around deliveries: it recovers from a panic and logs it.
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

// Stats are counters since New and current queue sizes.
type Stats struct {
	Stalls int64 // commands that had to wait for room in a queue
	Bytes  int64 // their memory, including moves that wait for Redis and commands queued after them
}

// New starts one worker for each of the hub's shards. [Fanout.Close] ends them.
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

// Deliver queues a command for the shards with clients that it may match, and for no
// others. It does not block: if a queue is full it returns a function that queues the
// rest and waits for room until its context ends. If the caller calls that before the
// next Deliver, its commands reach each client in order.
func (f *Fanout) Deliver(c *session.Command) (wait func(context.Context) error) {
	var room [8]task
	tasks := room[:0]
	to := c.To
	if len(to) > 1 && slices.Contains(to, session.All) {
		to = []session.Address{session.All} // includes the others
	}
	for i, a := range to {
		if a.Kind == session.KindConn {
			if s := f.hub.Conn(a.Name); s != nil {
				tasks = append(tasks, task{command: c, one: s, shard: f.hub.Shard(s)})
			}
			continue
		}
		first := len(tasks)
		if a.Kind == session.KindChannel && c.At.IsZero() { // those of the log reach who joins by itself
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

// Reached passes a position of the log through all queues: a client may be told it when all
// commands before it have been delivered. It returns like [Fanout.Deliver].
func (f *Fanout) Reached(p session.Position) (wait func(context.Context) error) {
	return f.all(notice{at: p})
}

// Gap passes on, through all queues, that entries of the log before p may be missing: clients
// that came before are told. With lost false only the tag of the history has changed. It
// returns like [Fanout.Deliver].
func (f *Fanout) Gap(p session.Position, lost bool) (wait func(context.Context) error) {
	return f.all(notice{at: p, gap: true, lost: lost})
}

// all queues a notice for each shard.
func (f *Fanout) all(n notice) (wait func(context.Context) error) {
	tasks := make([]task, len(f.workers))
	for shard := range tasks {
		tasks[shard] = task{command: &session.Command{}, notice: &n, shard: shard}
	}
	return f.push(tasks)
}

// appendJoining adds a task for each shard in which an earlier command that joins is
// still pending: the worker looks up the channel when it reaches the task, so that it
// also finds clients that are joining.
func (f *Fanout) appendJoining(tasks []task, c *session.Command, channel *session.Address) []task {
	for shard, w := range f.workers {
		if w.queue.joins.Load() > 0 || w.moving.count.Load() > 0 {
			tasks = append(tasks, task{command: c, channel: channel, shard: shard})
		}
	}
	return tasks
}

// push adds the tasks of one command to the queues of their shards. Those of one shard
// are added together, since a session that several of them match gets the command once.
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

// Stats returns a snapshot.
func (f *Fanout) Stats() Stats {
	s := Stats{Stalls: f.stalls.Load()}
	for _, w := range f.workers {
		s.Bytes += w.queue.held() + w.moving.held()
	}
	return s
}

// Close ends the workers and drops queued commands; Deliver does nothing from now on. It
// also waits for moves that wait for Redis.
func (f *Fanout) Close() {
	for _, w := range f.workers {
		w.queue.close()
	}
	f.running.Wait()
}

// task is a command for the members of one address in one shard, or for one session.
// Exactly one of set, one, channel and notice is set.
type task struct {
	command *session.Command
	set     *session.Members // nil: one, channel or notice
	one     *session.Session
	channel *session.Address // to be looked up in its turn, see appendJoining
	notice  *notice
	shard   int    // -1 once it is queued
	number  uint64 // of the command in its queue
	held    int64  // bytes that it counts for in its queue
}

// notice is a position of the log, for a whole shard.
type notice struct {
	at        session.Position
	gap, lost bool // see Gap; without gap see Reached
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

// piece is the number of sessions copied from a set at a time: so few that their memory stays
// in the processor's first caches while they are served.
const piece = 32

// moves reports whether the command changes clients' channels.
func (t *task) moves() bool { return len(t.command.Join)+len(t.command.Leave) > 0 }

// members estimates the number of sessions of the task.
func (t *task) members() int {
	if t.set == nil {
		return 1
	}
	return t.set.Len()
}

// size estimates the memory of the task and its command, in bytes.
func (t *task) size() int64 {
	const command, name = 256, 40
	c := t.command
	size := taskSize + command + name*(len(c.To)+len(c.Except)+len(c.Join)+len(c.Leave)) + c.NameBytes()
	if c.Message != nil {
		size += session.Headroom + len(c.Message.Data())
	}
	return int64(size)
}
