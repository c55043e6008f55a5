package gateway

import (
	"sync"
	"time"
)

// handoff starts another reader for each connection whose reader has been calling PHP
// for a while. The goroutine that reads a message calls PHP itself: to hand every
// message to another costs more than the rest of a small message's way together. But
// pings are to be answered, a client's leaving is to be noticed, and the next messages
// are to be taken in while PHP is busy.
type handoff struct {
	mu    sync.Mutex // guards what follows, and the links of connections
	first *connection
	last  *connection // the newest
	look  uint64      // number of the current look
	awake bool

	work chan struct{} // has room for one: a handler has begun
}

const (
	// handoffAfter is how long a handler runs, at least, before another reader
	// starts; at most it is twice as long.
	handoffAfter = 5 * time.Millisecond
	// handoffRest is after how many looks without a handler the looks end.
	handoffRest = 200
)

// watched are a connection's links, guarded by handoff.mu.
type watched struct {
	prev, next *connection
	since      uint64 // the look before
	listed     bool
	handedOff  bool // another goroutine reads
}

// add lists c, whose reader begins to handle messages.
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

// remove ends what add began, and reports whether the caller is still c's reader.
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

// watch looks at the running handlers again and again, until there has been none for a
// while. A handler that was there at the look before hands its connection off.
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
		for c := h.first; c != nil && c.watched.since < h.look; c = h.first {
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
