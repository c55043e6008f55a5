package gateway

import (
	"sync"
	"time"
)

// handoff starts another reader for each connection whose reader is busy calling PHP. The
// reader goroutine calls PHP inline: passing every message to another goroutine costs more
// than the rest of a small message's handling. But while PHP runs, pings must be answered,
// a disconnect noticed and further messages received.
type handoff struct {
	mu    sync.Mutex // guards what follows, and the links of connections
	first *connection
	last  *connection // the newest
	look  uint32      // number of the current check, which may begin again at 0
	awake bool        // watch is running

	work chan struct{} // capacity one: starts watch
}

const (
	// handoffAfter is the minimum time that a handler runs before another reader starts;
	// the maximum is twice as long.
	handoffAfter = 5 * time.Millisecond
	// handoffRest is the number of checks without a handler after which watch ends.
	handoffRest = 200
)

// watched are the links of a connection in handoff's list, guarded by handoff.mu.
type watched struct {
	prev, next *connection
	since      uint32 // handoff.look when it was added
	listed     bool
	handedOff  bool // another goroutine reads
}

// add adds c, whose reader begins to handle messages.
func (h *handoff) add(c *connection) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.watched = watched{prev: h.last, since: h.look, listed: true}
	if h.last == nil {
		h.first = c
	} else {
		h.last.watched.next = c
	}
	h.last = c
	if !h.awake {
		h.awake = true
		h.work <- struct{}{}
	}
}

// remove undoes add, and reports whether the caller is still c's reader.
func (h *handoff) remove(c *connection) (reads bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unlinkLocked(c)
	return !c.watched.handedOff
}

func (h *handoff) unlinkLocked(c *connection) {
	w := &c.watched
	if !w.listed {
		return
	}
	if w.prev == nil {
		h.first = w.next
	} else {
		w.prev.watched.next = w.next
	}
	if w.next == nil {
		h.last = w.prev
	} else {
		w.next.watched.prev = w.prev
	}
	w.prev, w.next, w.listed = nil, nil, false
}

// run starts readers until stop is closed.
func (h *handoff) run(stop <-chan struct{}) {
	for {
		select {
		case <-h.work:
			h.watch(stop)
		case <-stop:
			return
		}
	}
}

// watch checks the running handlers periodically until there has been none for handoffRest
// checks. A handler seen by two checks hands its connection off.
func (h *handoff) watch(stop <-chan struct{}) {
	var between pauses
	for idle := 0; ; idle++ {
		between.wait(handoffAfter)
		select {
		case <-stop:
			return
		default:
		}
		h.mu.Lock()
		if h.first != nil {
			idle = 0
		}
		for c := h.first; c != nil && c.watched.since != h.look; c = h.first {
			h.unlinkLocked(c)
			c.watched.handedOff = true
			go c.serve(nil)
		}
		h.look++
		if idle == handoffRest {
			h.awake = false
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
	}
}
