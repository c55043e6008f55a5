package registry

import (
	"slices"
	"strings"
	"testing"
)

// check looks for violations in a state.
func (x *explorer) check(s *exState) {
	if s.discs > 1 && !s.has("crash-unknown") && !(s.has("unknown") && (s.has("pause") || s.nodes[0].failed)) && !s.has("late-flush") {
		s.fail("disconnect ran twice")
	}
}

// settled returns the end that a state comes to when nothing more goes wrong: everything
// that is up beats on, and the client is gone. It remembers the ends.
func (x *explorer) settled(s *exState) *exState {
	s = s.clone()
	s.left, s.down = exBudget{}, false
	if s.nodes[0].state == 'p' {
		s.nodes[0].state = 'u'
	}
	var passed []string
	for quiet := 0; quiet < 8 && s.bad == ""; {
		key := s.key()
		if end := x.ends[key]; end != nil {
			s = end
			break
		}
		passed = append(passed, key)
		var best *next
		for _, n := range x.steps(s) {
			if n.name != "an event begins" && (best == nil || best.name == "15 s") {
				best = &n
			}
		}
		switch {
		case best.name == "15 s":
			quiet++
		case !strings.HasSuffix(best.name, "beats"):
			quiet = 0
		}
		s = best.state
		x.check(s)
	}
	for _, key := range passed {
		x.ends[key] = s
	}
	return s
}

// explore runs all interleavings and returns the violations, each with its path.
func (x *explorer) explore(names string, left exBudget) (states int, bad map[string]string) {
	start := &exState{redis: newModel(), client: true, left: left, slot: slot{dirty: true}}
	start.redis.without = x.without.model
	for _, name := range names {
		n := exNode{name: string(name), state: 'u', lease: *newLease(string(name))}
		n.lease.rules = x.without.lease
		start.nodes = append(start.nodes, n)
	}
	type from struct{ key, step string }
	seen := map[string]from{start.key(): {}}
	queue := []*exState{start}
	bad, x.ends = map[string]string{}, map[string]*exState{}
	path := func(key string) (p string) {
		for seen[key].key != "" || seen[key].step != "" {
			p = " > " + seen[key].step + p
			key = seen[key].key
		}
		return p
	}
	for ; len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		k := s.key()
		if s.bad == "" {
			s.bad = x.atRest(s)
		}
		if s.bad != "" {
			if bad[s.bad] == "" {
				bad[s.bad] = path(k)
			}
			continue
		}
		for _, n := range x.steps(s) {
			x.check(n.state)
			key := n.state.key()
			if _, known := seen[key]; !known {
				seen[key] = from{k, n.name}
				queue = append(queue, n.state)
			}
		}
	}
	return len(seen), bad
}

// atRest returns what is wrong with the end that a state comes to without further faults.
func (x *explorer) atRest(s *exState) string {
	if s.client { // it would only break: looked at after that
		return ""
	}
	end := x.settled(s)
	if end.bad != "" {
		return ""
	}
	alive := slices.ContainsFunc(end.nodes, func(n exNode) bool { return n.state == 'u' })
	switch {
	case !alive || end.has("late-flush"):
		return ""
	case end.discs == 0 && !end.has("crash-unstored") && !end.has("refusal-lost") && !end.has("pause-unstored"):
		return "disconnect was lost"
	case len(end.redis.presence) > 0:
		return "presence keeps a member that has gone"
	}
	return ""
}

func TestEveryInterleavingOfFaultsIsRight(t *testing.T) {
	exploreAll(t, "AB", exBudget{crash: 1, flush: 1}, exBudget{pause: 1})
}

// More faults at a time, and more nodes: minutes with the race detector.
func TestSoakEveryInterleavingOfMoreFaultsIsRight(t *testing.T) {
	exploreAll(t, "AB", exBudget{crash: 1, flush: 1, lose: 1}, exBudget{pause: 1, lose: 1}, exBudget{pause: 1, outage: 1},
		exBudget{lose: 1, outage: 1}, exBudget{pause: 1, flush: 1}, exBudget{crash: 1, pause: 1, lose: 1})
	exploreAll(t, "ABC", exBudget{crash: 2})
}

// exploreAll tries every order of steps, with each budget of faults.
func exploreAll(t *testing.T, nodes string, budgets ...exBudget) {
	t.Helper()
	for _, budget := range budgets {
		x := &explorer{}
		states, bad := x.explore(nodes, budget)
		t.Logf("%s %+v: %d states", nodes, budget, states)
		for what, how := range bad {
			t.Errorf("%s %+v: %s: %s", nodes, budget, what, how)
		}
	}
}

func TestTheExplorationFindsEachRuleThatIsLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		without exRules
		budget  exBudget
		want    string
	}{
		"a break of its own beats starts the lease again":       {exRules{lease: rules{noBreaks: true}}, exBudget{outage: 1}, "a node was claimed that was not paused"},
		"a node looks after a pause":                            {exRules{noLook: true}, exBudget{pause: 1}, "an event began after the disconnect event"},
		"a new stamp has everything registered again":           {exRules{lease: rules{noForgot: true}}, exBudget{crash: 1, flush: 1}, "disconnect was lost"},
		"a claimed node registers nothing":                      {exRules{model: modelRules{tombInPut: true}}, exBudget{pause: 1}, ""},
		"a claim compares the beat":                             {exRules{model: modelRules{claimCompares: true}}, exBudget{pause: 1}, "a node was claimed after its beat had changed"},
		"a tombstone stays":                                     {exRules{model: modelRules{tombStays: true}}, exBudget{pause: 1}, "disconnect ran twice"},
		"a node asks before it runs disconnect":                 {exRules{ownAsks: true}, exBudget{pause: 1}, "disconnect ran twice"},
		"a claimer asks before it runs disconnect":              {exRules{claimAsks: true}, exBudget{pause: 1}, "disconnect ran twice"},
		"a record that Redis has lost is no other node's event": {exRules{missingRuns: true}, exBudget{flush: 1}, "disconnect was lost"},
	} {
		x := &explorer{without: c.without}
		states, bad := x.explore("AB", c.budget)
		if _, found := bad[c.want]; !found && (c.want != "" || len(bad) == 0) {
			t.Errorf("without %q: of %d states none is wrong; found %v", name, states, bad)
		}
	}
}
