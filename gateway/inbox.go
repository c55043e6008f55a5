package gateway

import (
	"slices"
	"sync"
	"sync/atomic"

	"wsfpm/gateway/ws"
)

// inbox is the bounded queue of one client's messages that arrive while a handler runs. One
// goroutine at a time puts, and one, the same or another, takes. The taker starts with the
// first message and ends when the queue is empty.
type inbox struct {
	mu      sync.Mutex // guards what follows
	waiting []ws.Message
	room    [1]ws.Message // the memory of waiting for a single message
	bytes   int
	busy    bool          // there is a taker
	shut    bool          // put fails
	changed chan struct{} // closed at the next change; nil: no goroutine waits
}

// put adds m and reports whether a taker must be started. It waits while the backlog has
// most messages or would exceed bytes; a single message always fits. It counts each wait in
// waits. If the inbox is closed, before or meanwhile, m is not taken.
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

// hold makes the caller the taker of an empty inbox.
func (b *inbox) hold() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = true
}

// take removes the oldest message. It returns false if there is none; the taker then calls
// rest.
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

// rest ends the taker. It returns false if there are messages to take first.
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

// close makes put fail. With drop set it removes and returns the queued messages.
func (b *inbox) close(drop bool) (dropped []ws.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shut = true
	if drop {
		dropped, b.waiting, b.bytes = slices.Clone(b.waiting), nil, 0
		b.room[0] = ws.Message{}
	}
	b.wakeLocked()
	return dropped
}

// stop ends a taker that has panicked, after close.
func (b *inbox) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = false
	b.wakeLocked()
}

func (b *inbox) isBusy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.busy
}

// wait waits until there is no taker.
func (b *inbox) wait() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.busy {
		b.waitLocked()
	}
}

// waitLocked unlocks, waits for a change and locks again.
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
