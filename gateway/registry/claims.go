package registry

import (
	"context"
	"sync/atomic"

	"go.uber.org/zap"

	"wsfpm/session"
)

// claims are the nodes that this one claims. Only the work loop uses it, stopped aside.
type claims struct {
	open    map[string]*claim
	stopped atomic.Bool
}

// claim is a dead node whose tombstone is this node's, or is to be.
type claim struct {
	death
	mine    bool   // the tombstone is
	cursor  uint64 // of the scan of its records
	scanned bool   // to the end, so that the node may be removed when nothing is left
	passed  int    // records passed to Config.Lost
	waiting atomic.Int64

	unsure map[string]bool // ids whose event ran without an answer of Redis; guarded by Registry.mu
}

// Lost is a connection of a dead node. Its disconnect event is due.
type Lost struct {
	Node   string // the dead node
	ID     string // the connection's id
	Record Record // as it was read; [Registry.TakeLost] returns the newest one
	from   *claim // nil in tests
}

// claimSome continues the claims: for each dead node it makes sure of the tombstone, then
// passes on the next part of its records, unless many of the last part are still waiting
// for PHP. It reports whether there is more to do now.
func (r *Registry) claimSome(ctx context.Context) (more bool) {
	if r.claims.stopped.Load() {
		return false
	}
	r.mu.Lock()
	dead, alive := r.dead, r.alive
	r.mu.Unlock()
	if len(alive) == 0 { // the last beat did not go through: the holder of a claim may be alive
		return false
	}
	for _, d := range dead {
		if c := r.claims.open[d.node]; c == nil {
			r.claims.open[d.node] = &claim{death: d}
		} else {
			c.beat = d.beat
		}
	}
	for name, c := range r.claims.open {
		if alive[name] && !c.mine {
			delete(r.claims.open, name) // it has come back
			continue
		}
		if c.waiting.Load() <= bite/2 {
			more = r.claimOne(ctx, c, alive) || more
		}
	}
	return more
}

// claimOne does one part of a claim.
func (r *Registry) claimOne(ctx context.Context, c *claim, alive map[string]bool) (more bool) {
	if c.scanned && c.waiting.Load() > 0 {
		return false
	}
	me := r.Node()
	a := r.eval(ctx, []Call{r.keys.claim(c.death, me)})[0]
	switch {
	case a.err != nil:
		return false
	case a.code == codeHeld:
		c.mine, c.holder = false, ""
		if !alive[a.text] && a.text != me {
			c.holder = a.text // dead too: take over
			return true
		}
		if c.waiting.Load() == 0 {
			delete(r.claims.open, c.node) // it comes again with the next beat
		}
		return false
	case a.code != codeOK:
		r.finished(c, a.code)
		return false
	}
	if !c.mine {
		c.mine = true
		r.counts.claims.Add(1)
		r.log.Warn("a node is dead: its connections are claimed", zap.String("dead", c.node), zap.String("connections", a.text))
	}
	return r.passOn(ctx, c)
}

// finished ends a claim: the node is gone, or alive after all.
func (r *Registry) finished(c *claim, code string) {
	if c.waiting.Load() > 0 {
		return
	}
	delete(r.claims.open, c.node)
	if c.mine {
		r.log.Info("the claim of a node is over", zap.String("dead", c.node), zap.String("result", code), zap.Int("connections", c.passed))
	}
}

// passOn passes the next part of a dead node's records to Config.Lost.
func (r *Registry) passOn(ctx context.Context, c *claim) (more bool) {
	pairs, next, err := scan(ctx, r.cfg.Store, r.keys.node(c.node), c.cursor)
	if err != nil {
		r.failed("claim", err)
		return false
	}
	c.cursor, c.scanned, more = next, next == 0, next != 0
	for i := 0; i+1 < len(pairs); i += 2 {
		id, stored := pairs[i], pairs[i+1]
		if id == "." || session.CheckName(id) != nil {
			continue
		}
		record, err := Decode(stored)
		if err != nil {
			r.log.Warn("unreadable record of a dead node", zap.String("dead", c.node), zap.String("connection", id), zap.Error(err))
			r.forgetNow(&Entry{id: id, life: &life{node: c.node}})
			more = true
			continue
		}
		if r.isUnsure(c, id) {
			continue
		}
		c.waiting.Add(1)
		c.passed++
		more = true
		r.counts.lost.Add(1)
		r.cfg.Lost(&Lost{Node: c.node, ID: id, Record: record, from: c})
	}
	return more
}

// isUnsure reports whether the event of a lost connection has run without an answer.
func (r *Registry) isUnsure(c *claim, id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.unsure[id]
}

// TakeLost removes a lost connection's record, right before its disconnect event is
// written, and returns whether this node runs the event, with the newest record. While
// Redis is down it does not: the claim goes on later. If the answer is lost it does, as
// [Registry.Leave] does. It is called once or not at all, before [Registry.LostOver].
func (r *Registry) TakeLost(ctx context.Context, l *Lost) (Decision, *Record) {
	if !r.up.Load() {
		return Decision{}, &l.Record
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	e := &Entry{id: l.ID, life: &life{node: l.Node}}
	a, left := r.unregister(ctx, e)
	if a.err != nil {
		r.doubt(l)
		r.forgetLater(e)
		return Decision{Run: true}, &l.Record
	}
	if a.code != codeOK || len(a.rest) != 1 {
		return Decision{}, &l.Record
	}
	newest, err := Decode(a.rest[0])
	if err != nil || newest.Version < l.Record.Version {
		newest = l.Record
	}
	return Decision{Run: true, UserLeft: left}, &newest
}

// doubt remembers a lost connection whose event runs without an answer of Redis.
func (r *Registry) doubt(l *Lost) {
	if l.from == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.from.unsure == nil {
		l.from.unsure = make(map[string]bool)
	}
	l.from.unsure[l.ID] = true
}

// StopClaims begins no further part of a claim: the process ends. Other nodes go on with it.
func (r *Registry) StopClaims() { r.claims.stopped.Store(true) }

// DropLost removes a lost connection's record without a disconnect event. It does not
// block.
func (r *Registry) DropLost(l *Lost) {
	r.forgetNow(&Entry{id: l.ID, life: &life{node: l.Node}})
	signal(r.work)
}

// LostOver notes that no more is done for a lost connection. It is called once for each.
func (r *Registry) LostOver(l *Lost) {
	if l.from != nil {
		l.from.waiting.Add(-1)
		signal(r.work)
	}
}
