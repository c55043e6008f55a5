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
	done time.Time // when Redis had surely taken it, zero when that is not known
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
func (p *publications) taken(l line, k int, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rows[l][k].done = at
}

// missing are the pushes with numbers between two others that were surely taken,
// and begun later than since.
func (p *publications) missing(l line, from, to int, since time.Time) (found []publication) {
	p.mu.Lock()
	defer p.mu.Unlock()
	row := p.rows[l]
	for k := min(to, len(row)) - 1; k >= from && row[k].at.After(since); k-- {
		if !row[k].done.IsZero() {
			found = append(found, row[k])
		}
	}
	return found
}

// known reports whether a push of that number was begun at all.
func (p *publications) known(l line, k int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return k >= 0 && k < len(p.rows[l])
}
