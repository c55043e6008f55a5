package gateway

import (
	"context"
	"runtime"
	"sync"
	"time"

	"go.uber.org/zap"

	"wsfpm/session"
)

// maxFanout bounds what waits for one fan-out worker, in bytes of messages.
const maxFanout = 16 << 20

// delivery is a command with the sessions that it may concern.
type delivery struct {
	command *session.Command
	to      []*session.Session
}

// fanout hands commands of others to this process's clients. A client is
// pinned to one worker, so that what it gets stays in order; a client that does
// not read never holds a worker up, because its messages only queue.
type fanout struct {
	g       *Gateway
	workers []*deliveries
}

func newFanout(g *Gateway) *fanout {
	f := &fanout{g: g}
	for i := range runtime.GOMAXPROCS(0) {
		q := &deliveries{}
		q.changed.L = &q.mu
		f.workers = append(f.workers, q)
		g.loops.Go(func() { f.work(i, q) })
	}
	return f
}

// listen takes what the bus hears until the gateway stops.
func (g *Gateway) listen() {
	defer g.fanout.close()
	for {
		select {
		case <-g.stop:
			return
		case c, open := <-g.bus.Commands():
			if !open {
				return
			}
			if c.Before != 0 {
				c.Before = max(c.Before, time.Now().Add(-onItsWay).UnixNano())
			}
			g.fanout.deliver(&c)
		}
	}
}

// deliver gives a command to those workers whose clients it may concern. It
// waits when one of them has too much to do, and so slows Redis's reader down.
func (f *fanout) deliver(c *session.Command) (found int) {
	to := f.g.hub.Find(c.To)
	if len(to) == 0 {
		return 0
	}
	if len(to) == 1 {
		f.workers[to[0].Pin()%uint32(len(f.workers))].push(delivery{c, to})
		return 1
	}
	for _, w := range f.workers {
		w.push(delivery{c, to})
	}
	return len(to)
}

// work delivers to the clients of worker number i.
func (f *fanout) work(i int, q *deliveries) {
	for {
		d, open := q.pop()
		if !open {
			return
		}
		f.each(uint32(i), d)
	}
}

// each carries a command out for those clients that are worker number i's.
func (f *fanout) each(i uint32, d delivery) {
	defer func() {
		if v := recover(); v != nil {
			f.g.survived("delivery", v)
		}
	}()
	// One wait for Redis serves all clients that a command lets join.
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(f.g.settings.Load().Redis.Confirm))
	defer cancel()
	var delivered int64
	for _, s := range d.to {
		if s.Pin()%uint32(len(f.workers)) == i && f.g.carryOut(ctx, d.command, s) {
			delivered++
		}
	}
	f.g.stats.delivered.Add(delivered)
}

func (f *fanout) close() {
	for _, q := range f.workers {
		q.close()
	}
}

// carryOut does to one client what a command says, and reports whether the
// client was meant. A change of its channels waits for Redis as long as ctx
// allows: so what follows in the worker's queue stays behind it.
func (g *Gateway) carryOut(ctx context.Context, c *session.Command, s *session.Session) bool {
	if len(c.Join) == 0 && len(c.Leave) == 0 {
		meant, _ := s.Deliver(c) // a client that cannot take it is being closed by its outbox
		return meant
	}
	meant, err := g.move(ctx, c, s)
	if err != nil {
		g.log.Warn("command not carried out", zap.String("connection", s.ID()), zap.Error(err))
	}
	return meant && err == nil
}

// move changes one client's channels, then sends the message, then closes.
func (g *Gateway) move(ctx context.Context, c *session.Command, s *session.Session) (meant bool, err error) {
	s.LockChanges()
	defer s.UnlockChanges()
	if !s.Matches(c) {
		return false, nil
	}
	old := s.Standing()
	next, err := old.With(session.Command{Join: c.Join, Leave: c.Leave}, g.settings.Load().Limits.Channels)
	if err != nil {
		g.stats.reached.channels.Add(1)
		return true, err
	}
	joined, left := old.Diff(next)
	g.join(ctx, joined)
	meant, err = g.hub.Move(s, c, next)
	if !meant {
		left = joined
	}
	g.bus.Leave(left)
	return meant, notEnded(err)
}

// deliveries is a worker's queue, bounded in bytes of memory; one delivery
// always fits.
type deliveries struct {
	mu      sync.Mutex
	changed sync.Cond
	waiting []delivery
	bytes   int
	closed  bool
}

// size is about the memory that a delivery holds.
func (d *delivery) size() int {
	const command, address = 256, 40
	size := command + 8*len(d.to) + address*(len(d.command.To)+len(d.command.Except)+len(d.command.Join)+len(d.command.Leave))
	if d.command.Message != nil {
		size += len(d.command.Message.Frame())
	}
	return size
}

// push adds d, waiting for room.
func (q *deliveries) push(d delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && q.bytes > 0 && q.bytes+d.size() > maxFanout {
		q.changed.Wait()
	}
	if q.closed {
		return
	}
	q.waiting = append(q.waiting, d)
	q.bytes += d.size()
	q.changed.Broadcast()
}

// pop takes the oldest delivery, waiting for one; it reports false when the
// queue is closed.
func (q *deliveries) pop() (delivery, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.changed.Wait()
	}
	if q.closed {
		return delivery{}, false
	}
	d := q.waiting[0]
	q.waiting[0] = delivery{}
	q.waiting = q.waiting[1:]
	q.bytes -= d.size()
	q.changed.Broadcast()
	return d, true
}

func (q *deliveries) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.waiting = true, nil
	q.changed.Broadcast()
}
