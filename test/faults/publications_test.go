package faults

import (
	"sync"
	"time"
)

// line is what one publisher says to one address: a row of pushes numbered
// 0, 1, 2 …
type line struct{ publisher, address string }

// publication is one push.
type publication struct {
	at   time.Time // when it was begun
	sure bool      // Redis has taken it
}

// publications remembers every push. It is safe for concurrent use.
type publications struct {
	mu   sync.Mutex // guards rows
	rows map[line][]publication
}

// begin notes that a push is about to be published and returns its number.
func (p *publications) begin(l line, at time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rows == nil {
		p.rows = make(map[line][]publication)
	}
	p.rows[l] = append(p.rows[l], publication{at: at})
	return len(p.rows[l]) - 1
}

// taken notes that Redis has taken a push.
func (p *publications) taken(l line, k int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rows[l][k].sure = true
}

// missing are the times of the pushes with numbers between two others that were
// surely taken, and begun later than since.
func (p *publications) missing(l line, from, to int, since time.Time) []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	row := p.rows[l]
	var times []time.Time
	for k := min(to, len(row)) - 1; k >= from && row[k].at.After(since); k-- {
		if row[k].sure {
			times = append(times, row[k].at)
		}
	}
	return times
}

// known tells whether a push of that number was begun at all.
func (p *publications) known(l line, k int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return k >= 0 && k < len(p.rows[l])
}
