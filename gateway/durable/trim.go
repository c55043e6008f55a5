package durable

import (
	"time"

	"wsfpm/session"
)

// trimEvery is the interval after which a node trims even if little was read.
const trimEvery = 5 * time.Second

// trimmer decides when this node trims the log to its window. Only a node whose window is
// full does: one that has just loaded, or loads again after a gap, holds less than the
// others, and would trim for all of them. It reads no clock.
type trimmer struct {
	memory int64 // the window's bound
	read   int64 // bytes since the last trim
	last   time.Time
	done   session.Position // the log was trimmed to
}

// due returns the id of the oldest entry to keep if it is time to trim, else "". The
// newest entry always stays, since the window never drops it.
func (t *trimmer) due(now time.Time, full bool, oldest session.Position) (id string) {
	if t.last.IsZero() {
		t.last = now
	}
	if !full || oldest.Compare(t.done) == 0 || t.read < t.memory/8 && now.Sub(t.last) < trimEvery {
		return ""
	}
	t.read, t.last, t.done = 0, now, oldest
	return oldest.ID()
}
