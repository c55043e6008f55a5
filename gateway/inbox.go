package gateway

import (
	"sync"
	"sync/atomic"

	"wsfpm/gateway/ws"
)

// inbox holds the messages of one client that came while a handler runs. One
// goroutine puts; one, the same or another, takes. Who takes begins when
// something is put and ends when nothing is left.
type inbox struct {
	mu      sync.Mutex // guards what follows
	waiting []ws.Message
	room    [1]ws.Message // for waiting, which seldom needs more
	bytes   int
	busy    bool          // there is a taker
	shut    bool          // no more may be put
	changed chan struct{} // closed when something was taken; made when awaited
}

// put adds m and reports whether a taker must be started. It waits while the
// backlog is full: most messages, or bytes, of which one message always fits.
// Waits are counted in waits, as they begin. When the inbox is shut, meanwhile or
// before, m is not taken.
func (b *inbox) put(m ws.Message, most, bytes int, waits *atomic.Int64) (start, taken bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	full := func() bool {
		return !b.shut && len(b.waiting) > 0 && (len(b.waiting) >= most || b.bytes+len(m.Data) > bytes)
	}
	if full() {
		waits.Add(1)
	}
	for full() {
		b.waitLocked()
	}
	if b.shut {
		return false, false
	}
	if len(b.waiting) == 0 {
		b.waiting = b.room[:0]
	}
	b.waiting = append(b.waiting, m)
	if len(b.waiting) > 1 {
		b.room[0] = ws.Message{} // a copy stays when waiting outgrows it
	}
	b.bytes += len(m.Data)
	start = !b.busy
	b.busy = true
	return start, true
}

// hold makes the caller the taker before anything was put.
func (b *inbox) hold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = true
}

// take removes the oldest message. When there is none the taker rests.
func (b *inbox) take() (ws.Message, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wakeLocked()
	if len(b.waiting) == 0 {
		b.waiting = nil
		return ws.Message{}, false
	}
	m := b.waiting[0]
	b.waiting[0] = ws.Message{}
	b.waiting = b.waiting[1:]
	b.bytes -= len(m.Data)
	return m, true
}

// rest ends the taker's part. It reports false when something has been put
// meanwhile, which the taker must take first.
func (b *inbox) rest() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > 0 {
		return false
	}
	b.busy = false
	b.wakeLocked()
	return true
}

// close lets nothing more in. With drop set what waits is thrown away and
// returned.
func (b *inbox) close(drop bool) (dropped []ws.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shut = true
	if drop {
		dropped, b.waiting, b.bytes = b.waiting, nil, 0
	}
	b.wakeLocked()
	return dropped
}

// stop is the end of a taker that cannot go on, after close.
func (b *inbox) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = false
	b.wakeLocked()
}

// isBusy reports whether there is a taker.
func (b *inbox) isBusy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.busy
}

// wait returns when there is no taker any more.
func (b *inbox) wait() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.busy {
		b.waitLocked()
	}
}

// waitLocked waits for a change, with the lock given up meanwhile.
func (b *inbox) waitLocked() {
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	changed := b.changed
	b.mu.Unlock()
	<-changed
	b.mu.Lock()
}

func (b *inbox) wakeLocked() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}
