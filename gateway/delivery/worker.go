package delivery

import "wsfpm/session"

// worker delivers the commands of one shard's queue.
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

// run works until the queue is closed and the moves have ended.
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

// deliver applies a batch with as few writes per client as [session.Batch] allows.
// Consecutive tasks of one set are applied together, client by client, so that the
// messages of a busy channel of any size are sent early and in one write.
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

// flush writes the queued messages.
func (w *worker) flush() {
	for !w.flushed() {
	}
}

// flushed writes queued messages and reports whether that completed: it survives a panic
// in one write.
func (w *worker) flushed() (all bool) {
	defer w.f.Recovered()
	w.out.Flush()
	return true
}

// alike returns the number of leading tasks that match the same sessions and only send.
func alike(tasks []task) int {
	first := &tasks[0]
	n := 1
	if first.moves() || first.channel != nil || first.notice != nil {
		return n
	}
	for n < len(tasks) && tasks[n].set == first.set && tasks[n].one == first.one && tasks[n].channel == nil && tasks[n].notice == nil && !tasks[n].moves() {
		n++
	}
	return n
}

// group applies tasks that are alike. The last ones of a batch are written immediately,
// since nothing follows for the same clients.
func (w *worker) group(tasks []task, last bool) {
	defer w.f.Recovered()
	if tasks[0].notice != nil {
		w.reached(*tasks[0].notice)
		return
	}
	if tasks[0].channel != nil {
		w.lookUp(&tasks[0])
	}
	if tasks[0].moves() {
		w.move(&tasks[0])
		return
	}
	var delivered int64
	tasks[0].walk(func(sessions []*session.Session) {
		w.out.Prefetch(sessions)
		w.each(sessions, func(s *session.Session) {
			for i := range tasks {
				t := &tasks[i]
				if w.out.Claim(s, t.number) && !w.follows(s, t) && w.out.Deliver(s, t.command) {
					delivered++
				}
			}
		})
		if last {
			w.flush()
		}
	})
	w.f.Delivered.Add(delivered)
}

// each calls visit for sessions. A panic ends the connection of the client that it hits, which
// has missed something; the others are served.
func (w *worker) each(sessions []*session.Session, visit func(*session.Session)) {
	for n := w.some(sessions, visit); n < len(sessions); n = w.some(sessions, visit) {
		w.fail(sessions[n])
		sessions = sessions[n+1:]
	}
}

// some is each up to the first panic. It returns the number of sessions before that.
func (w *worker) some(sessions []*session.Session, visit func(*session.Session)) (n int) {
	defer w.f.Recovered()
	for ; n < len(sessions); n++ {
		visit(sessions[n])
	}
	return n
}

// fail ends a client's connection after a panic. The client comes back, with its position.
func (w *worker) fail(s *session.Session) {
	defer w.f.Recovered()
	s.Close(session.Close{Code: 1011, Reason: "internal error"})
}

// reached records a position of the log, behind all deliveries before it. Before that a gap
// is told to the sessions of the shard.
func (w *worker) reached(n notice) {
	defer w.f.hub.Reached(w.shard, n.at)
	if !n.gap {
		return
	}
	all := task{command: &session.Command{}, set: w.f.hub.All(w.shard)}
	all.walk(func(sessions []*session.Session) {
		w.each(sessions, func(s *session.Session) { w.out.Gap(w.f.hub, s, n.at, n.lost) })
		w.flush()
	})
}

// lookUp finds the members of a task's channel. For sessions that are joining it the
// command is queued after their move; those that have joined meanwhile are in the set.
func (w *worker) lookUp(t *task) {
	for _, s := range w.moving.joiners(t.channel.Name) {
		if !w.out.Claimed(s, t.number) && w.follows(s, t) {
			w.out.Claim(s, t.number)
		}
	}
	t.set = w.f.hub.Members(*t.channel, w.shard)
}

// move starts a command that changes channels on its own goroutine, since it waits for
// Redis.
func (w *worker) move(t *task) {
	if len(t.command.Join) > 0 {
		defer w.queue.joins.Add(-1) // from now on it is in moving, or finished
	}
	var sessions []*session.Session
	t.walk(func(piece []*session.Session) {
		for _, s := range piece {
			if w.out.Claim(s, t.number) && !w.follows(s, t) {
				w.f.hub.Hold(s)
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

// follows reports whether a task's command is queued after a move of s. It waits for
// room to queue it. Entries of the log are not: the session is held, and reads them from
// the window after its move.
func (w *worker) follows(s *session.Session, t *task) bool {
	for t.command.At.IsZero() {
		moving, room := w.moving.follows(s, t)
		if room {
			return moving
		}
		w.awaitRoom()
	}
	return false
}

// awaitRoom writes queued messages and waits until moves hold fewer bytes.
func (w *worker) awaitRoom() {
	w.flush()
	<-w.moving.room
}

// carryOut changes the channels of sessions, one after another; a single wait for Redis
// serves all of them. Commands queued for a session meanwhile follow immediately.
func (w *worker) carryOut(c *session.Command, sessions []*session.Session) {
	ctx, cancel := w.f.Patience()
	defer cancel()
	for _, s := range sessions {
		w.one(s, func() bool { return w.f.Move(ctx, s, c) })
		for next := w.moving.next(s, c); next != nil; next = w.moving.next(s, next) {
			w.one(s, func() bool { return w.late(s, next) })
		}
		w.each([]*session.Session{s}, w.letGo)
	}
}

// letGo ends the hold of a session that was moved.
func (w *worker) letGo(s *session.Session) {
	_ = w.f.hub.Release(s) // on an error the outlet is closing the client
}

// late applies a command that was queued after a move of s.
func (w *worker) late(s *session.Session, c *session.Command) (meant bool) {
	if len(c.Join)+len(c.Leave) > 0 {
		ctx, cancel := w.f.Patience()
		defer cancel()
		return w.f.Move(ctx, s, c)
	}
	meant, _ = s.Deliver(c) // on an error the outlet is closing the client
	s.Flush()
	return meant
}

// one counts a delivery to one client, see each.
func (w *worker) one(s *session.Session, deliver func() bool) {
	w.each([]*session.Session{s}, func(*session.Session) {
		if deliver() {
			w.f.Delivered.Add(1)
		}
	})
}
