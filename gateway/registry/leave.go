package registry

import (
	"context"
	"slices"

	"go.uber.org/zap"
)

// Decision says what is to be done with a disconnect event.
type Decision struct {
	// Run: this process runs it. Otherwise another node has.
	Run bool
	// UserLeft: it was the user's last connection on any node. It is known only where
	// [Presence.Users] is set.
	UserLeft bool
}

// Leave removes a connection and returns whether this node runs its disconnect event. It
// is called once, right before the event's request is written. If Redis does not answer
// within Config.Timeout, the event is run, and the record is removed later.
func (r *Registry) Leave(ctx context.Context, e *Entry) Decision {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer r.remove(e)
	if !e.slot.mayBeStored() {
		return Decision{Run: true}
	}
	if !r.up.Load() {
		r.forgetLater(e)
		return Decision{Run: true}
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	a, left := r.unregister(ctx, e)
	switch {
	case a.err != nil:
		r.forgetLater(e)
		return Decision{Run: true}
	case a.code == codeClaimed:
		r.counts.claimedAway.Add(1)
		signal(r.beatNow)
		return Decision{}
	}
	// A record that is missing while no node claims this one was lost by Redis.
	return Decision{Run: true, UserLeft: left}
}

// Drop removes a connection without a disconnect event. It does not block.
func (r *Registry) Drop(e *Entry) {
	r.remove(e)
	if e.mu.TryLock() { // else a write is on its way
		stored := e.slot.mayBeStored()
		e.mu.Unlock()
		if !stored {
			return
		}
	}
	r.forgetNow(e)
	signal(r.work)
}

// remove takes an entry out of the list. No write of it begins any more.
func (r *Registry) remove(e *Entry) {
	r.mu.Lock()
	e.describe = nil
	if r.entries[e.id] == e {
		delete(r.entries, e.id)
	}
	r.mu.Unlock()
	r.counts.entered.Add(-1)
}

// unregister removes a record, and reports whether it was the user's last. The entry's lock
// is held, so that no write is on its way.
func (r *Registry) unregister(ctx context.Context, e *Entry) (a result, left bool) {
	call := r.keys.unregister(e.life.node, e.id)
	a = r.eval(ctx, []Call{call})[0]
	return a, a.err == nil && leftUser(r.moved(call.Script.Name, a.text))
}

// forgetLater remembers a connection whose record Redis may still have.
func (r *Registry) forgetLater(e *Entry) {
	r.counts.unknown.Add(1)
	r.forgetNow(e)
}

// forgetNow has a record removed by the work loop. Beyond the bound the oldest one is left
// to the reconciliation.
func (r *Registry) forgetNow(e *Entry) {
	r.mu.Lock()
	r.forget = append(r.forget, e)
	dropped := len(r.forget) > mostForgotten
	if dropped {
		r.forget[0] = nil
		r.forget = r.forget[1:]
	}
	r.mu.Unlock()
	if dropped && r.counts.notForgotten.Add(1) == 1 {
		r.log.Warn("too many ended connections wait for redis: the reconciliation removes their records", zap.Int("most", mostForgotten))
	}
}

// forgetSome removes records that are to be forgotten, 100 at a time, and reports whether
// there are more.
func (r *Registry) forgetSome(ctx context.Context) (more bool) {
	r.mu.Lock()
	part := r.forget[:min(len(r.forget), bite)]
	if r.forget = r.forget[len(part):]; len(r.forget) == 0 {
		r.forget = nil // gives its memory back
	}
	r.mu.Unlock()
	var calls []Call
	for _, e := range part {
		e.mu.Lock() // waits for a write on its way, which is the last one
		calls = append(calls, r.keys.unregister(e.life.node, e.id))
		e.mu.Unlock()
	}
	unknown := 0
	defer func() { r.repaired(unknown, 0) }()
	for i, a := range r.eval(ctx, calls) {
		if a.err != nil { // this one and those after it come again
			r.mu.Lock()
			r.forget = append(slices.Clone(part[i:]), r.forget...)
			r.mu.Unlock()
			return false
		}
		r.moved(calls[i].Script.Name, a.text)
		if part[i].unknown && a.code == codeOK {
			unknown++
		}
	}
	return len(part) == bite
}
