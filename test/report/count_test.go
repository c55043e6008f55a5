package main

import (
	"io"
	"os"
	"strings"
	"testing"
)

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

// The list of failures has what the test has written itself, not its servers' logs.
func TestAFailureIsListedWithItsOwnLines(t *testing.T) {
	var list strings.Builder
	counted := newTally()
	counted.failures = &list
	printed(t, func() {
		for _, line := range []string{"    x_test.go:3: contract-row: 1.a\n", "    x_test.go:4: got 1, want 2\n", "    process.go:1: log of redis:\n", "        Ready\n"} {
			counted.add(event{Action: "output", Package: "p", Test: "A", Output: line}, false)
		}
		counted.add(event{Action: "fail", Package: "p", Test: "A", Elapsed: 1}, false)
		counted.add(event{Action: "fail", Package: "p"}, false)
	})
	if want := "FAIL p A (1.0s)\n  x_test.go:4: got 1, want 2\n"; list.String() != want {
		t.Errorf("got %q, want %q", list.String(), want)
	}
}

// The panic of a test that hangs is written as output of that test, which never ends.
func TestATestThatDidNotEndIsShown(t *testing.T) {
	counted := newTally()
	text := printed(t, func() {
		for _, e := range []event{
			{Action: "run", Package: "p", Test: "Quick"},
			{Action: "output", Package: "p", Test: "Quick", Output: "of no interest\n"},
			{Action: "pass", Package: "p", Test: "Quick"},
			{Action: "run", Package: "p", Test: "Hangs"},
			{Action: "output", Package: "p", Test: "Hangs", Output: "panic: test timed out after 20m0s\n"},
			{Action: "output", Package: "q", Test: "Another", Output: "still runs\n"},
			{Action: "fail", Package: "p"},
		} {
			counted.add(e, false)
		}
	})
	if !strings.Contains(text, "p Hangs") || !strings.Contains(text, "timed out") {
		t.Errorf("the cause is not shown:\n%s", text)
	}
	if strings.Contains(text, "of no interest") || strings.Contains(text, "still runs") {
		t.Errorf("what others have written is shown:\n%s", text)
	}
	if counted.failed != 1 {
		t.Errorf("%d counted as failed, want the package", counted.failed)
	}
}

// printed returns what f writes to standard output.
func printed(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	before := os.Stdout
	os.Stdout = w
	f()
	os.Stdout = before
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
