package out

import (
	"context"
	"sync/atomic"
)

// Drained waits until at most Limits.QueueLimit bytes in at most Limits.QueueMessages
// pieces are queued, or the outlet has failed. Its only error is that of ctx.
func (o *Outlet) Drained(ctx context.Context) error {
	for {
		o.mu.Lock()
		if o.withinLimitLocked() {
			o.mu.Unlock()
			return nil
		}
		if o.drained == nil {
			o.drained = make(chan struct{})
		}
		drained := o.drained
		o.mu.Unlock()
		select {
		case <-drained:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// overLimitLocked returns the counter of the limit that a push of n bytes would exceed, or
// nil. A push larger than QueueLimit is accepted if no other push is queued.
func (o *Outlet) overLimitLocked(n int64) *atomic.Int64 {
	q, l := &o.queue, o.limits.Load()
	switch {
	case l.QueueLimit > 0 && q.pushed > 0 && q.pushed+n > l.QueueLimit:
		return &o.shared.Stats.QueueFull
	case l.QueueMessages > 0 && q.pushes >= l.QueueMessages:
		return &o.shared.Stats.QueueTooLong
	}
	return nil
}

// tooSlowLocked drops the pieces that have not begun and queues Owner.TooSlow as the last
// one. The caller calls the owner's Slow.
func (o *Outlet) tooSlowLocked() {
	o.shared.Stats.SlowReaders.Add(1)
	o.queue.cut()
	o.queue.close(o.owner.TooSlow())
	o.wakeLocked()
}

// withinLimitLocked reports whether Drained may return.
func (o *Outlet) withinLimitLocked() bool {
	q, l := &o.queue, o.limits.Load()
	few := l.QueueMessages <= 0 || len(q.waiting) <= l.QueueMessages
	small := l.QueueLimit <= 0 || q.bytes <= l.QueueLimit
	return q.failed || few && small
}

// wakeLocked wakes the callers of Drained if they may return.
func (o *Outlet) wakeLocked() {
	if o.drained != nil && o.withinLimitLocked() {
		close(o.drained)
		o.drained = nil
	}
}
