package gateway

import (
	"sync"
	"time"
)

const (
	// reliefAfter is how long PHP may take, at least, before somebody else reads
	// a connection on; at most it is twice as long.
	reliefAfter = 5 * time.Millisecond
	// reliefRest is for how many times of reliefAfter relief looks about after
	// the last handler.
	reliefRest = 200
)

// relief finds somebody to read the connections whose reader has been with PHP
// for a while. The goroutine that reads a message calls PHP itself: to hand it
// to another costs more than the rest of a small message's way together. But a
// client's pings are to be answered, its leaving is to be noticed, and the next
// messages are to be taken in while PHP is busy.
type relief struct {
	mu    sync.Mutex // guards what follows, and the links of connections
	first *connection
	last  *connection // the newest
	look  uint64      // number of the current look
	awake bool

	work chan struct{} // has room for one: somebody is with PHP
}

// watched are a connection's links, guarded by relief.mu.
type watched struct {
	prev, next *connection
	since      uint64 // the look before
	listed     bool
	relieved   bool // somebody else reads on
}

// add says that c's reader turns to its messages.
func (r *relief) add(c *connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.watched = watched{prev: r.last, since: r.look, listed: true}
	if r.last == nil {
		r.first = c
	} else {
		r.last.watched.next = c
	}
	r.last = c
	if !r.awake {
		r.awake = true
		r.work <- struct{}{}
	}
}

// remove says that c's messages are done, and reports whether their handler is
// the reader still.
func (r *relief) remove(c *connection) (reads bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unlinkLocked(c)
	return !c.watched.relieved
}

func (r *relief) unlinkLocked(c *connection) {
	w := &c.watched
	if !w.listed {
		return
	}
	if w.prev == nil {
		r.first = w.next
	} else {
		w.prev.watched.next = w.next
	}
	if w.next == nil {
		r.last = w.prev
	} else {
		w.next.watched.prev = w.prev
	}
	w.prev, w.next, w.listed = nil, nil, false
}

// run has connections read on until stop is closed.
func (r *relief) run(stop <-chan struct{}) {
	for {
		select {
		case <-r.work:
			r.lookAbout(stop)
		case <-stop:
			return
		}
	}
}

// lookAbout looks at those who are with PHP, again and again until there has
// been nobody for a while.
func (r *relief) lookAbout(stop <-chan struct{}) {
	ticker := time.NewTicker(reliefAfter)
	defer ticker.Stop()
	for idle := 0; ; idle++ {
		select {
		case <-ticker.C:
		case <-stop:
			return
		}
		r.mu.Lock()
		if r.first != nil {
			idle = 0
		}
		for c := r.first; c != nil && c.watched.since < r.look; c = r.first {
			r.unlinkLocked(c)
			c.watched.relieved = true
			go c.serve(nil)
		}
		r.look++
		if idle == reliefRest {
			r.awake = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
	}
}
