package main

import "testing"

func TestEachFailureCountsOnce(t *testing.T) {
	counted := newTally()
	for _, e := range []event{
		{Action: "run", Package: "p", Test: "A"},
		{Action: "run", Package: "p", Test: "A/one"},
		{Action: "fail", Package: "p", Test: "A/one"},
		{Action: "run", Package: "p", Test: "A/two"},
		{Action: "pass", Package: "p", Test: "A/two"},
		{Action: "fail", Package: "p", Test: "A"},
		{Action: "pass", Package: "p", Test: "B"},
		{Action: "skip", Package: "p", Test: "C"},
		{Action: "fail", Package: "p"},
		{Action: "fail", Package: "does-not-build"},
		{Action: "pass", Package: "q"},
	} {
		counted.add(e, false)
	}
	if counted.passed != 2 || counted.failed != 2 || counted.skipped != 1 {
		t.Errorf("got %d passed, %d failed, %d skipped, want 2, 2, 1", counted.passed, counted.failed, counted.skipped)
	}
	counted.add(event{Action: "skip", Package: "p", Test: "D"}, true)
	if counted.failed != 3 {
		t.Errorf("a skip that is not allowed: got %d failed, want 3", counted.failed)
	}
}
