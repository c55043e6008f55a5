package faults

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	wslog "wsfpm/session"
	"wsfpm/test/stack"
)

// note notes a publication.
func (p *logProgramme) note(s storing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stored = append(p.stored, s)
}

// answered notes that a publication of a script is stored: its message was answered.
func (p *logProgramme) answered(number int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.stored {
		if p.stored[i].number == number {
			p.stored[i].sure, p.stored[i].done = true, time.Now()
		}
	}
}

// check holds what every client got against what was stored.
func (p *logProgramme) check(list []*reader) {
	counts := make(map[string]int)
	sure, violations := 0, 0
	for _, s := range p.stored {
		if s.sure {
			sure++
		}
	}
	arrived := 0
	for _, r := range list {
		for _, bad := range r.wrong(p.stored) {
			violations++
			p.t.Errorf("client %s (plain: %v): %s", r.user, r.plain, bad)
		}
		for what, n := range r.counts {
			counts[what] += n
		}
		arrived += len(r.got)
	}
	var lines []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		lines = append(lines, fmt.Sprintf("%s %d", what, counts[what]))
	}
	p.t.Logf("%d publications, %d surely stored, %d arrived; faults %v; clients: %s", len(p.stored), sure, arrived, p.made, strings.Join(lines, ", "))
	run := fmt.Sprintf("%d publications stored for certain, %d deliveries, %d faults, seed %d", sure, arrived, p.faults, p.seed)
	stack.Promise(p.t, "G2", "no acknowledged push is lost over restarts and reconnects").
		Reached("%s: %d resumed, %d violations", run, counts["hello ok"]+counts["plain ok"], violations)
	stack.Promise(p.t, "G3", "a loss is always announced").
		Reached("%s: %d gaps, %d violations", run, counts["gap"]+counts["hello gap"]+counts["plain gap"], violations)
	if counts["hello ok"] == 0 || counts["cut"] == 0 {
		p.t.Error("no client has resumed")
	}
}

// wrong is what a client should have got, and what it should not. A publication may be missing
// when it began before PHP wrote a state that the client got: the state has it. A client that
// begins anew may get it again.
func (r *reader) wrong(stored []storing) (bad []string) {
	bad = append(bad, r.odd...)
	got, twice := make(map[int64]bool), make(map[receipt]bool)
	for _, a := range r.got {
		a.states = 0
		if got[a.number] = true; twice[a] && !r.plain {
			bad = append(bad, fmt.Sprintf("got publication %d twice", a.number))
		}
		twice[a] = true
	}
	if len(r.states) == 0 {
		return append(bad, "it never got a state")
	}
	newest := slices.MaxFunc(r.states, time.Time.Compare)
	known := make(map[int64]bool)
	for _, s := range stored {
		known[s.number] = true
		switch got := got[s.number]; {
		case got && !r.means(s.to):
			bad = append(bad, fmt.Sprintf("got publication %d, which is for %s", s.number, s.to))
		case !got && s.sure && r.means(s.to) && s.began.After(newest):
			bad = append(bad, fmt.Sprintf("publication %d for %s is missing", s.number, s.to))
		}
	}
	for n := range got {
		if !known[n] {
			bad = append(bad, fmt.Sprintf("got publication %d, which was never stored", n))
		}
	}
	return append(append(bad, r.disorder()...), r.skipped(stored)...)
}

// skipped finds publications that were stored before one that the client got, and which it had
// neither got then nor in a state: a loss is told before any later message.
func (r *reader) skipped(stored []storing) (bad []string) {
	began := make(map[int64]time.Time)
	var due []storing
	for _, s := range stored {
		began[s.number] = s.began
		if s.sure && r.means(s.to) {
			due = append(due, s)
		}
	}
	slices.SortFunc(due, func(a, b storing) int { return a.done.Compare(b.done) })
	got := make(map[int64]bool)
	for _, a := range r.got {
		got[a.number] = true
		for len(due) > 0 && due[0].done.Before(began[a.number]) {
			s := due[0]
			due = due[1:]
			if !got[s.number] && (a.states == 0 || s.began.After(r.states[a.states-1])) {
				bad = append(bad, fmt.Sprintf("publication %d for %s is missing before %d", s.number, s.to, a.number))
			}
		}
	}
	return bad
}

// disorder finds ids of one history that are not in order.
func (r *reader) disorder() (bad []string) {
	var last wslog.Position
	var fresh int
	for _, a := range r.got {
		if r.plain {
			break
		}
		at, err := wslog.ParsePosition(a.id)
		switch {
		case err != nil:
			bad = append(bad, fmt.Sprintf("publication %d: %v", a.number, err))
		case a.fresh == fresh && at.Tag == last.Tag && !at.After(last):
			bad = append(bad, fmt.Sprintf("publication %d with id %v came after %v", a.number, at, last))
		}
		last, fresh = at, a.fresh
	}
	return bad
}

func TestTheProgrammeOfTheLogSeesWhatIsWrong(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	stored := []storing{
		{1, "all", at(1), at(1), true}, {2, "user:u0", at(2), at(2), true}, {3, "user:u1", at(3), at(3), true},
		{4, "all", at(4), at(4), false}, {5, "channel:r0", at(5), at(5), true},
	}
	id := func(n int64) string { return wslog.Position{Milli: uint64(n), Tag: wslog.NoTag}.String() }
	for _, test := range []struct {
		name   string
		states []time.Time
		got    []int64
		plain  bool
		want   string
	}{
		{"all", []time.Time{at(0)}, []int64{1, 2, 4, 5}, false, ""},
		{"one that is not sure", []time.Time{at(0)}, []int64{1, 2, 5}, false, ""},
		{"a state in place of some", []time.Time{at(0), at(3)}, []int64{1, 5}, false, ""},
		{"one missing", []time.Time{at(0), at(1)}, []int64{5}, false, "publication 2 for user:u0 is missing"},
		{"one twice", []time.Time{at(0)}, []int64{1, 2, 2, 5}, true, ""},
		{"one twice with ids", []time.Time{at(0)}, []int64{1, 2, 2, 5}, false, "got publication 2 twice"},
		{"another client's", []time.Time{at(0)}, []int64{1, 2, 3, 5}, false, "got publication 3, which is for user:u1"},
		{"one that was not stored", []time.Time{at(0)}, []int64{1, 2, 5, 9}, false, "got publication 9, which was never stored"},
		{"out of order", []time.Time{at(0)}, []int64{2, 1, 5}, false, "came after"},
		{"no state", nil, []int64{1, 2, 5}, false, "never got a state"},
	} {
		r := &reader{user: "u0", room: "r0", states: test.states, plain: test.plain}
		for _, n := range test.got {
			r.got = append(r.got, receipt{number: n, id: id(n), states: len(test.states)})
		}
		bad := strings.Join(r.wrong(stored), "; ")
		if (test.want == "") != (bad == "") || !strings.Contains(bad, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, bad, test.want)
		}
	}
}

func TestALossIsToldBeforeALaterMessage(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	stored := []storing{
		{1, "all", at(1), at(2), true}, {2, "all", at(3), at(5), true}, {3, "all", at(4), at(6), true}, {4, "all", at(7), at(8), true},
	}
	for name, test := range map[string]struct {
		got  []receipt
		want string
	}{
		"all":                           {[]receipt{{number: 1, states: 1}, {number: 2, states: 1}, {number: 3, states: 1}, {number: 4, states: 1}}, ""},
		"two at the same time, swapped": {[]receipt{{number: 1, states: 1}, {number: 3, states: 1}, {number: 2, states: 1}, {number: 4, states: 1}}, ""},
		"told in time":                  {[]receipt{{number: 1, states: 1}, {number: 4, states: 2}}, ""},
		"told too late":                 {[]receipt{{number: 1, states: 1}, {number: 2, states: 1}, {number: 4, states: 1}, {number: 4, states: 2}}, "publication 3 for all is missing before 4"},
	} {
		r := &reader{user: "u0", room: "r0", plain: true, states: []time.Time{at(0), at(6)}, got: test.got}
		if bad := strings.Join(r.wrong(stored), "; "); bad != test.want {
			t.Errorf("%s: got %q, want %q", name, bad, test.want)
		}
	}
}
