package once

import (
	"hash/maphash"
	"strings"
	"testing"
)

func explore(t *testing.T, rules rules, f faults) *explorer {
	t.Helper()
	e := &explorer{rules: rules, seed: maphash.MakeSeed(), seen: make(map[uint64]bool)}
	e.visit("start", world{faults: f})
	t.Logf("%+v: %d worlds", f, len(e.seen))
	return e
}

func TestEveryInterleavingKeepsThePromise(t *testing.T) {
	for _, f := range []faults{{1, 1, 0}, {1, 0, 1}, {0, 1, 1}, {2, 0, 0}} {
		if e := explore(t, rules{}, f); e.bad != "" {
			t.Error(e.bad)
		}
	}
}

// Millions of worlds, for a machine with time.
func TestSoakEveryInterleavingOfMoreFaults(t *testing.T) {
	if e := explore(t, rules{}, faults{2, 1, 1}); e.bad != "" {
		t.Error(e.bad)
	}
}

// Without faults a request is a second attempt only after one that was cut off.
func TestSecondAttemptHasACause(t *testing.T) {
	seconds := 0
	check := func(w *world, i int) {
		if r := &w.requests[i]; r.do.do == doRun && r.m.second {
			seconds++
			for j, other := range w.requests {
				if j != i && other.phase == phaseOver && other.fate == fateRuns {
					return
				}
			}
			t.Error("a second attempt without a cause")
		}
	}
	if e := explore(t, rules{judged: check}, faults{}); e.bad != "" || seconds == 0 {
		t.Error(e.bad, seconds)
	}
}

// Each rule that is left out breaks a promise: the test can fail, and no rule is idle.
func TestEachRuleIsNeeded(t *testing.T) {
	for name, without := range map[string]rules{
		"a token of its own for each run":        {token: func(int) string { return "t" }},
		"confirmation before sending":            {blind: true},
		"one machine of a process at a time":     {crowded: true},
		"a run that is over for certain is left": {old: true},
		"only a dead process's run is taken":     {dead: func(string) bool { return true }},
		"a key is claimed when it is absent": {command: func(r *request) {
			if r.do.do == doClaim {
				r.do.do, r.do.old = doReplace, anyValue
			}
		}},
		"a run is taken by compare and set":       {command: uncompared(phaseAsking, doReplace)},
		"an outcome is stored by compare and set": {command: uncompared(phaseKeeping, doReplace)},
		"a key is removed by compare":             {command: uncompared(phaseKeeping, doRemove)},
		"a lost reply is no permission": {result: func(r *request, got result) result {
			if r.phase == phaseAsking {
				got.lost = false
			}
			return got
		}},
		"what was cut off stays": {outcome: func(_ *machine, o Outcome) Outcome {
			if o == Unclear {
				return Refused
			}
			return o
		}},
		"a second attempt that failed stays": {outcome: func(m *machine, o Outcome) Outcome {
			m.second = false
			return o
		}},
		"a take-over is a second attempt": {judged: func(w *world, i int) { w.requests[i].m.second = false }},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			for _, f := range []faults{{0, 0, 0}, {1, 0, 0}, {0, 0, 1}, {1, 1, 0}, {1, 0, 1}, {2, 1, 1}} {
				if e := explore(t, without, f); e.bad != "" {
					t.Log(e.bad)
					return
				}
			}
			t.Error("no promise is broken without this rule")
		})
	}
}

// uncompared makes a command change the key whatever its value is.
func uncompared(p phase, d doing) func(*request) {
	return func(r *request) {
		if r.phase == p && r.do.do == d {
			r.do.old = anyValue
		}
	}
}
