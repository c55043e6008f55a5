// Package load tests what wsfpm promises for busy days: ten thousand clients at
// a restart, readers that read nothing, five times the load that PHP-FPM can
// take, a day of coming and going. All servers are real.
//
// Tests named TestSoak… judge times and memory against the machine: `make soak`
// runs them, with nothing beside. Each has a short form of a minute at most and,
// with WSFPM_LONG=1, a long one. Its figures go to the test's log and to
// build/goals, see goal. Times are held against each other within one run
// wherever that is possible. Where a bound is in seconds it is the one that is
// promised.
//
// The other tests hold the same promises with few clients and judge no time.
// They are part of `make test`.
package load

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsfpm/test/stack"
)

func TestMain(m *testing.M) {
	// The speed and memory of one with the race detector say nothing, and it
	// gives up at 8,128 goroutines.
	stack.WithoutRace()
	os.Exit(stack.Main(m, "load", func(*stack.Suite) {}))
}

// long reports whether the long form of a test was asked for.
func long() bool { return os.Getenv("WSFPM_LONG") == "1" }

// begin skips the test unless it was asked for, and makes sure that this
// process and its children may have so many files open.
func begin(t *testing.T, files int) {
	t.Helper()
	stack.Integration(t)
	if self, err := os.Executable(); err == nil && stack.RaceBuilt(self) {
		t.Skip("the figures of a test with the race detector say nothing")
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Max < uint64(files) {
		t.Fatalf("the hard limit of open files is %d, want %d: ulimit -n (%v)", limit.Max, files, err)
	}
}

// goal is what a test says of a promise: one row of the table of goals.
type goal struct {
	Goal    string    `json:"goal"`    // its number, such as G7
	Promise string    `json:"promise"` // in a few words
	Test    string    `json:"test"`
	Figure  string    `json:"figure"` // what was reached
	Command string    `json:"command"`
	Passed  bool      `json:"passed"`
	At      time.Time `json:"at"`
}

// promise announces what the test holds. When the test is over, passed or not,
// its figures are in build/goals/FILE.json.
func promise(t *testing.T, number, file, words string) *goal {
	t.Helper()
	prefix := "WSFPM_INTEGRATION=1 "
	if long() {
		prefix += "WSFPM_LONG=1 "
	}
	g := &goal{Goal: number, Promise: words, Test: t.Name(),
		Command: fmt.Sprintf("%sgo test -timeout 2h -run '^%s$' ./test/load", prefix, t.Name())}
	t.Cleanup(func() {
		g.Passed, g.At = !t.Failed(), time.Now().UTC().Truncate(time.Second)
		t.Logf("%s: %s", g.Goal, g.Figure)
		if err := g.write(filepath.Join(stack.Root(t), "build", "goals"), file); err != nil {
			t.Errorf("write the figures: %v", err)
		}
	})
	return g
}

// reached adds a figure.
func (g *goal) reached(format string, args ...any) {
	figure := fmt.Sprintf(format, args...)
	g.Figure = strings.TrimPrefix(g.Figure+"; "+figure, "; ")
}

func (g *goal) write(folder, file string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, file+".json"), append(text, '\n'), 0o644)
}

// equal fails the test when got is not want.
func equal[V comparable](t *testing.T, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
