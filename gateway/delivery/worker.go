package delivery

import "wsfpm/session"

// worker delivers what comes into one shard's queue.
type worker struct {
	f      *Fanout
	queue  *queue
	shard  int
	out    session.Batch
	moving moving
}

func newWorker(f *Fanout, q *queue, shard int) *worker {
	return &worker{f: f, queue: q, shard: shard, moving: moving{room: make(chan struct{}, 1)}}
}

// run ends when the queue is closed and the moves have ended.
func (w *worker) run() {
	defer w.moving.running.Wait()
	var batch []task
	for {
		var open bool
		if batch, open = w.queue.take(batch); !open {
			return
		}
		w.deliver(batch)
		clear(batch)
	}
}

// deliver carries a batch out and writes to each client as seldom as
// [session.Batch] does. Consecutive tasks of
// one set are done together, client by client, so that the messages of a busy
// channel of any size leave soon, and in one write.
func (w *worker) deliver(batch []task) {
	for rest := batch; len(rest) > 0; {
		n := alike(rest)
		w.group(rest[:n], n == len(rest))
		rest = rest[n:]
	}
	w.flush()
	var held int64
	for i := range batch {
		held += batch[i].held
	}
	w.queue.release(held)
}

// flush writes what was queued.
func (w *worker) flush() {
	for !w.flushed() {
	}
}

// flushed reports whether everything was written: a bug in one write is survived.
func (w *worker) flushed() (all bool) {
	defer w.f.Recovered()
	w.out.Flush()
	return true
}

// alike is how many of the first tasks mean the same sessions and only send.
func alike(tasks []task) int {
	first := &tasks[0]
	n := 1
	if first.moves() || first.channel != nil {
		return n
	}
	for n < len(tasks) && tasks[n].set == first.set && tasks[n].one == first.one && tasks[n].channel == nil && !tasks[n].moves() {
		n++
	}
	return n
}

// group carries out tasks that are alike. The last ones of a batch are written as
// they go, since nothing follows for the same clients.
func (w *worker) group(tasks []task, last bool) {
	defer w.f.Recovered()
	if tasks[0].channel != nil {
		w.lookUp(&tasks[0])
	}
	if tasks[0].moves() {
		w.move(&tasks[0])
		return
	}
	var delivered int64
	tasks[0].walk(func(sessions []*session.Session) {
		for _, s := range sessions {
			for i := range tasks {
				t := &tasks[i]
				if w.out.Claim(s, t.number) && !w.follows(s, t) && w.out.Deliver(s, t.command) {
					delivered++
				}
			}
		}
		if last {
			w.flush()
		}
	})
	w.f.Delivered.Add(delivered)
}

// lookUp finds the members of a task's channel. For those that are joining it the
// command waits until they have; those that have joined meanwhile are in the set.
func (w *worker) lookUp(t *task) {
	for _, s := range w.moving.joiners(t.channel.Name) {
		if !w.out.Claimed(s, t.number) && w.follows(s, t) {
			w.out.Claim(s, t.number)
		}
	}
	t.set = w.f.hub.Members(*t.channel, w.shard)
}

// move begins a command that changes channels: on a goroutine of its own, for it
// waits for Redis.
func (w *worker) move(t *task) {
	if len(t.command.Join) > 0 {
		defer w.queue.joins.Add(-1) // from now on it is among the moving ones, or over
	}
	var sessions []*session.Session
	t.walk(func(piece []*session.Session) {
		for _, s := range piece {
			if w.out.Claim(s, t.number) && !w.follows(s, t) {
				sessions = append(sessions, s)
			}
		}
	})
	if len(sessions) == 0 {
		return
	}
	const perJoin = 64 // in moving.joins
	c := t.command
	held := t.size() + moveSize + int64(len(sessions)*(8+perJoin*len(c.Join)))
	for !w.moving.begin(sessions, c, held, func() { w.carryOut(c, sessions) }) {
		w.awaitRoom()
	}
}

// follows reports whether a task's command waits for a move of s, and waits for room
// for it when there is none.
func (w *worker) follows(s *session.Session, t *task) bool {
	for {
		moving, room := w.moving.follows(s, t)
		if room {
			return moving
		}
		w.awaitRoom()
	}
}

// awaitRoom waits until moves hold less. What was queued is written before.
func (w *worker) awaitRoom() {
	w.flush()
	<-w.moving.room
}

// carryOut changes the channels of sessions, one after another: one wait for Redis
// serves all of them. What came for a session meanwhile follows at once.
func (w *worker) carryOut(c *session.Command, sessions []*session.Session) {
	ctx, cancel := w.f.Patience()
	defer cancel()
	for _, s := range sessions {
		w.one(func() bool { return w.f.Move(ctx, s, c) })
		for next := w.moving.next(s, c); next != nil; next = w.moving.next(s, next) {
			w.one(func() bool { return w.late(s, next) })
		}
	}
}

// late carries out a command that has waited for a move of s.
func (w *worker) late(s *session.Session, c *session.Command) (meant bool) {
	if len(c.Join)+len(c.Leave) > 0 {
		ctx, cancel := w.f.Patience()
		defer cancel()
		return w.f.Move(ctx, s, c)
	}
	meant, _ = s.Deliver(c) // a client that cannot take it is being closed by its outlet
	s.Flush()
	return meant
}

// one counts a delivery, and survives a bug in it.
func (w *worker) one(deliver func() bool) {
	defer w.f.Recovered()
	if deliver() {
		w.f.Delivered.Add(1)
	}
}
