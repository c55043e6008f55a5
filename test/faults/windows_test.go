package faults

import (
	"slices"
	"sync"
	"time"
)

// part is what a fault breaks.
type part int

const (
	partFPM     part = iota // PHP-FPM itself and the way to it
	partRedis               // Redis itself and the way to it
	partClients             // the way between clients and a node
	partNode                // a node itself
	parts
)

// both stands for both nodes where a fault is not one's own.
const both = -1

// window is the time in which one fault may show.
type window struct {
	part  part
	node  int // 0, 1 or both
	what  string
	begin time.Time
	end   time.Time // zero while it lasts
}

// windows remembers when what was broken. It is safe for concurrent use.
type windows struct {
	mu  sync.RWMutex // guards all
	all []*window
}

// open notes that a fault begins; the returned function notes that nothing of it
// can be felt any more after aftermath.
func (w *windows) open(p part, node int, what string) (end func(aftermath time.Duration)) {
	opened := &window{part: p, node: node, what: what, begin: time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, opened)
	return func(aftermath time.Duration) {
		w.mu.Lock()
		defer w.mu.Unlock()
		opened.end = time.Now().Add(aftermath)
	}
}

// excuse reports whether a fault of the part, on that node, may have been felt
// between from and to.
func (w *windows) excuse(p part, node int, from, to time.Time) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, one := range slices.Backward(w.all) {
		mine := one.part == p && (one.node == both || node == both || one.node == node)
		if mine && !one.begin.After(to) && (one.end.IsZero() || !one.end.Before(from)) {
			return true
		}
	}
	return false
}

// around names the faults that lasted at a time, for messages.
func (w *windows) around(at time.Time) []string {
	w.mu.RLock()
	defer w.mu.RUnlock()
	var names []string
	for _, one := range w.all {
		if !one.begin.After(at) && (one.end.IsZero() || !one.end.Before(at)) {
			names = append(names, one.what)
		}
	}
	return names
}
