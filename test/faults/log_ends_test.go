package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// visit is a connection that was let in.
type visit struct {
	id, user, room string
	node           int       // on which it is
	began          time.Time // before its handshake
	ended          time.Time // as its client has seen it; zero: it is there
	unseen         bool      // no client has got its 101
	died           time.Time // when its node died while Redis had its record, and lost nothing later, or when Redis was back; zero: it did not
}

// harm is a fault, as far as the contract of the registry makes a difference.
type harm struct {
	kind        string
	node        int
	began, over time.Time
}

const (
	// beatGrace is the time after an outage within which records are written again: a try to
	// reach Redis, a beat, and the machine's own delays.
	beatGrace = 10 * time.Second
	// claimGrace is the time within which the records of a killed node are needed.
	claimGrace = 75 * time.Second
	// underWay is the time within which an event of a client that has come or left may have
	// been about to run.
	underWay = 5 * time.Second
	// soonest is when the events of a dead node may begin: 45 s after its last beat, which
	// may have been 5 s before its death, less a second for the clocks.
	soonest = 39 * time.Second
)

// away reports whether Redis was away from the node meanwhile, or lost its data.
func (h harm) away(node int) bool {
	if strings.HasPrefix(h.kind, "link-") {
		return h.node == node
	}
	return h.kind == "redis-freeze" || h.kind == "kill-connections" || h.loses()
}

// loses reports whether Redis lost its data, or the newest: it keeps nothing on disk.
func (h harm) loses() bool {
	return h.kind == "flushall" || h.kind == "failover" || h.kind == "redis-kill" || h.kind == "redis-kill-node-freeze"
}

func (p *logProgramme) harmed(kind string, node int, began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.harms = append(p.harms, harm{kind, node, began, time.Now()})
}

func (p *logProgramme) enters(v *visit) *visit {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.visits = append(p.visits, v)
	return v
}

func (p *logProgramme) leaves(v *visit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v.ended = time.Now()
}

// present returns the connections that are there.
func (p *logProgramme) present() (list []*visit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.visits {
		if v.ended.IsZero() {
			list = append(list, v)
		}
	}
	return list
}

// events returns what the scripts have noted until now.
func (p *logProgramme) events() *journal {
	if err := p.noted.look(); err != nil {
		p.t.Errorf("the scripts' journal: %v", err)
	}
	return p.noted
}

// everyVisit returns the connections that clients have seen, and those that only PHP has.
func (p *logProgramme) everyVisit(j *journal) []*visit {
	list, seen := slices.Clone(p.visits), make(map[string]bool)
	for _, v := range list {
		seen[v.id] = true
	}
	for id, at := range j.let {
		if !seen[id] {
			node := slices.IndexFunc(nodeNames[:], func(name string) bool { return strings.HasPrefix(id, name+"-") })
			list = append(list, &visit{id: id, user: "a client that did not get in", node: node, began: at, unseen: true})
		}
	}
	return list
}

// checkEnds waits for the last disconnect events and judges all of them.
func (p *logProgramme) checkEnds() {
	stack.Poll(inAMinute(), lookEvery, func() bool {
		j := p.events()
		return !slices.ContainsFunc(p.everyVisit(j), func(v *visit) bool { return len(j.ends[v.id]) == 0 && p.judge(v, nil) != "" })
	})
	j := p.events()
	list := p.everyVisit(j)
	lost, died, taken, unseen, violations, excepted := make(map[time.Time]int), 0, 0, 0, 0, 0
	wrong := func(format string, args ...any) {
		violations++
		p.t.Errorf(format, args...)
	}
	for _, v := range list {
		ends := j.ends[v.id]
		died += count(!v.died.IsZero())
		unseen += count(v.unseen)
		taken += count(slices.ContainsFunc(ends, func(e finish) bool { return e.lost }))
		bad := p.judge(v, ends)
		if killed, may := p.mayBeLost(v); bad != "" && len(ends) == 0 && may && lost[killed] < workers/2 {
			lost[killed]++
			bad = ""
		}
		excepted += count(len(ends) != 1 && bad == "")
		if bad != "" {
			wrong("connection %s of %s: %s", v.id, v.user, bad)
		}
		if last := j.messages[v.id]; len(ends) > 0 && last.After(ends[0].at) {
			wrong("connection %s of %s: a message began %v after its disconnect event", v.id, v.user, last.Sub(ends[0].at))
		}
	}
	for id := range j.ends {
		if _, let := j.let[id]; !let {
			wrong("connection %s: a disconnect event without a connect event", id)
		}
	}
	for _, line := range j.odd {
		wrong("the scripts' journal: %s", line)
	}
	stack.Promise(p.t, "G21", "each connection gets one disconnect event, and presence is right").
		Reached("%d connections, %d of them on nodes that died with their records in Redis, %d events run by other nodes, %d faults, seed %d: %d violations, %d as section 8 excepts; presence right %v after the last fault at most",
			len(list), died, taken, len(p.harms), p.seed, violations, excepted, p.slowest.Round(100*time.Millisecond))
	p.t.Logf("%d connections were known to PHP only", unseen)
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

// judge says what is wrong with the disconnect events of a connection, by section 8 of the
// contract: the exceptions of "8.rare", and records that Redis lost or did not have yet
// when the node died.
func (p *logProgramme) judge(v *visit, ends []finish) string {
	if len(ends) == 1 {
		if early := ends[0].at.Sub(v.died); ends[0].lost && !v.died.IsZero() && early < soonest {
			return fmt.Sprintf("taken for dead %v after its node's death", early)
		}
		return ""
	}
	if v.died.IsZero() && slices.ContainsFunc(p.harms, func(death harm) bool { return p.excepts(v, ends, death) }) {
		return ""
	}
	return fmt.Sprintf("%d disconnect events (on a node that died, with a record: %v)", len(ends), !v.died.IsZero())
}

// excepts reports whether a node's death may be why a connection has got no event or two.
func (p *logProgramme) excepts(v *visit, ends []finish, death harm) bool {
	if death.kind != "node-kill" || death.node != v.node {
		return false
	}
	// PHP let it in, and there was no record yet; PHP-FPM may begin with what a dead node has sent.
	if v.unseen && len(ends) == 0 && death.began.Sub(v.began).Abs() < underWay {
		return true
	}
	if death.began.Before(v.began) {
		return false
	}
	left := !v.ended.IsZero() && v.ended.Before(death.began.Add(-underWay))
	for _, h := range p.harms {
		near := h.away(v.node) && !death.began.Before(h.began) && death.began.Before(h.over.Add(beatGrace))
		gone := h.loses() && h.began.After(death.began) && h.began.Before(death.began.Add(claimGrace))
		switch {
		case len(ends) == 0 && (near || gone) && !left:
			return true
		case len(ends) == 2 && near && !ends[0].at.Before(h.began) && ends[0].at.Before(h.over.Add(beatGrace)):
			return true
		}
	}
	return false
}

// mayBeLost reports whether the event of a client that had just left may have been between
// the removal of its record and PHP when its node was killed.
func (p *logProgramme) mayBeLost(v *visit) (killed time.Time, may bool) {
	for _, h := range p.harms {
		if h.kind == "node-kill" && h.node == v.node && !v.ended.IsZero() && v.ended.Before(h.began) && h.began.Sub(v.ended) < underWay {
			return h.began, v.died.IsZero()
		}
	}
	return killed, false
}

func TestTheProgrammeOfTheLogJudgesDisconnects(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(1000+seconds), 0) }
	kill := harm{"node-kill", 0, at(10), at(11)}
	ran := func(seconds ...int) (list []finish) {
		for _, s := range seconds {
			list = append(list, finish{at: at(s), lost: s >= 40})
		}
		return list
	}
	for _, test := range []struct {
		name  string
		harms []harm
		v     visit
		ends  []finish
		good  bool
	}{
		{"one", nil, visit{began: at(0), ended: at(5)}, ran(5), true},
		{"none", nil, visit{began: at(0), ended: at(5)}, nil, false},
		{"two", nil, visit{began: at(0), ended: at(5)}, ran(5, 6), false},
		{"none after a kill", []harm{kill}, visit{began: at(0), ended: at(10)}, nil, false},
		{"none, of the other node", []harm{kill, {"flushall", 0, at(9), at(9)}}, visit{node: 1, began: at(0), ended: at(10)}, nil, false},
		{"none, lost by Redis before", []harm{{"flushall", 0, at(9), at(9)}, kill}, visit{began: at(0), ended: at(10)}, nil, true},
		{"none, lost by Redis after", []harm{kill, {"redis-kill", 0, at(12), at(13)}}, visit{began: at(0), ended: at(10)}, nil, true},
		{"none, lost by Redis long before", []harm{{"flushall", 0, at(-9), at(-9)}, kill}, visit{began: at(-20), ended: at(10)}, nil, false},
		{"none, Redis had the record", []harm{kill, {"redis-kill", 0, at(12), at(13)}}, visit{died: at(10), began: at(0), ended: at(10)}, nil, false},
		{"none, it had left long before", []harm{{"flushall", 0, at(9), at(9)}, kill}, visit{began: at(0), ended: at(3)}, nil, false},
		{"none, and it was just let in", []harm{kill}, visit{began: at(9), unseen: true}, nil, true},
		{"none, and PHP let it in after the kill", []harm{kill}, visit{began: at(12), unseen: true}, nil, true},
		{"none, and another node let it in after", []harm{kill}, visit{node: 1, began: at(12), unseen: true}, nil, false},
		{"none, and it was let in long after", []harm{kill}, visit{began: at(16), unseen: true}, nil, false},
		{"none, and it was let in before", []harm{kill}, visit{began: at(2), unseen: true}, nil, false},
		{"two, the first in an outage", []harm{{"redis-freeze", 0, at(7), at(9)}, kill}, visit{began: at(0), ended: at(8)}, ran(8, 60), true},
		{"two, the first before the outage", []harm{{"redis-freeze", 0, at(7), at(9)}, kill}, visit{began: at(0), ended: at(5)}, ran(5, 60), false},
		{"three, the first in an outage", []harm{{"redis-freeze", 0, at(7), at(9)}, kill}, visit{began: at(0), ended: at(8)}, ran(8, 60, 61), false},
		{"one, 45 s after the death", []harm{kill}, visit{died: at(10), began: at(0)}, ran(55), true},
		{"one, too early for a death", []harm{kill}, visit{died: at(10), began: at(0)}, ran(45), false},
	} {
		p := &logProgramme{harms: test.harms}
		if bad := p.judge(&test.v, test.ends); (bad == "") != test.good {
			t.Errorf("%s: judged %q", test.name, bad)
		}
	}
}
