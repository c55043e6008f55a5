package faults

import (
	"testing"
	"time"
)

// watched is what a node was seen to do, in quarter seconds.
type watched struct{ looks, below, waiting int }

// watch looks at the nodes until the programme is over: how much memory they need,
// and whether they use all the workers that they may. PHP-FPM has as many as they
// are configured to use, so a node that works with fewer has taken a busy machine
// or a short fault for a lack of workers.
func (p *programme) watch() {
	for !p.over() {
		for i := range p.base {
			m, up := p.metrics(i)
			if !up {
				continue
			}
			w := &p.watched[i]
			w.looks++
			p.served[i] = append(p.served[i], served{time.Now(), sum(m, "wsfpm_fpm_completed_total")})
			if below(m) {
				w.below++
				if sum(m, "wsfpm_fpm_waiting") > 0 {
					w.waiting++
				}
			}
			p.mu.Lock()
			p.peakRSS = max(p.peakRSS, held(m).memory)
			p.mu.Unlock()
		}
		p.rest(250 * time.Millisecond)
	}
}

// below reports whether a node works with fewer workers than it may use.
func below(m map[string]float64) bool {
	return sum(m, "wsfpm_fpm_limit") < sum(m, "wsfpm_fpm_max_connections")
}

// usesAllWorkers holds what was watched against the invariant.
func (p *programme) usesAllWorkers(node int) {
	w := p.watched[node]
	p.verdict.check(allWorkers, 50*w.below < w.looks, "node %d worked below its limit in %d of %d quarter seconds, in %d of them while events waited",
		node+1, w.below, w.looks, w.waiting)
}

func TestANodeBelowItsLimitIsSeen(t *testing.T) {
	for _, c := range []struct {
		watched
		want []invariant
	}{
		{watched{looks: 240}, nil},
		{watched{looks: 240, below: 4}, nil},
		{watched{looks: 240, below: 5}, []invariant{allWorkers}},
		{watched{}, []invariant{allWorkers}}, // never seen
	} {
		p := &programme{verdict: &verdict{seed: 7}, watched: [2]watched{c.watched}}
		p.usesAllWorkers(0)
		violated(t, p.verdict, c.want...)
	}
}
