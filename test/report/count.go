package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// tally is what has been counted.
type tally struct {
	passed, failed, skipped int
	output                  map[string][]string // of tests that run, by package and name
	parents                 map[string]bool     // tests that have subtests: not counted
	broken                  map[string]bool     // packages and tests of which a part has been counted as failed
	failures                io.Writer           // gets a few lines for each failure
}

func newTally() *tally {
	return &tally{output: make(map[string][]string), parents: make(map[string]bool), broken: make(map[string]bool), failures: io.Discard}
}

// countCommand is report count.
func countCommand(flags *flag.FlagSet) func() error {
	noSkips := flags.Bool("no-skips", false, "count a skipped test as failed")
	file := flags.String("copy", "", "append the input to this file")
	return func() error {
		copied, err := appendTo(*file)
		if err != nil {
			return err
		}
		defer copied.Close()
		failures, err := appendTo(os.Getenv("FAILURES"))
		if err != nil {
			return err
		}
		defer failures.Close()
		t := newTally()
		t.failures = failures
		err = readEvents(os.Stdin, func(e event) {
			_, _ = copied.Write(e.line) // a whole line at once: others append too
			t.add(e, *noSkips)
		})
		fmt.Printf("%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
		return err
	}
}

// appendTo opens a file to append to, "" none.
func appendTo(file string) (*os.File, error) {
	return os.OpenFile(cmp.Or(file, os.DevNull), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
}

func (t *tally) add(e event, noSkips bool) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "":
		os.Stdout.Write(e.line)
	case "output", "build-output":
		if e.Action == "build-output" {
			fmt.Print(e.Output)
		}
		t.output[key] = append(t.output[key], e.Output)
	case "run":
		if i := strings.LastIndex(e.Test, "/"); i > 0 {
			t.parents[e.Package+" "+e.Test[:i]] = true
		}
	case "pass", "fail", "skip":
		t.end(e, key, noSkips)
	}
}

// cutShort shows what the tests have written that were running when their package ended:
// in one of them stands the panic, or which test did not end in time, and every goroutine.
func (t *tally) cutShort(pkg string) {
	for _, key := range slices.Sorted(maps.Keys(t.output)) {
		if !strings.HasPrefix(key, pkg+" ") {
			continue
		}
		fmt.Printf("--- CUT SHORT %s\n", key)
		for _, line := range t.output[key][:min(len(t.output[key]), cutLines)] {
			fmt.Print("    ", line)
		}
		delete(t.output, key)
	}
}

// cutLines bounds what is shown of a test that was cut short.
const cutLines = 400

// lastWords are the last lines that a test has written itself, and not the servers that it
// has started: among them is what was wrong.
func lastWords(output []string) string {
	var own []string
	for _, line := range output {
		if ownLine.MatchString(line) && !strings.Contains(line, "contract-row: ") {
			own = append(own, fmt.Sprintf("  %.300s\n", strings.TrimSpace(line)))
		}
	}
	return strings.Join(own[max(0, len(own)-5):], "")
}

var ownLine = regexp.MustCompile(`^ +\w+_test\.go:\d+: |^panic: |DATA RACE`)

func (t *tally) end(e event, key string, noSkips bool) {
	bad := e.Action == "fail" || e.Action == "skip" && noSkips && e.Test != ""
	if bad {
		fmt.Printf("--- %s %s (%.1fs)\n", strings.ToUpper(e.Action), key, e.Elapsed)
		for _, line := range slices.Compact(t.output[key]) {
			fmt.Print("    ", line)
		}
		if e.Test != "" {
			fmt.Fprintf(t.failures, "%s %s (%.1fs)\n%s", strings.ToUpper(e.Action), key, e.Elapsed, lastWords(t.output[key]))
		}
	}
	delete(t.output, key)
	if e.Test == "" {
		t.cutShort(e.Package)
		// A package that fails without a failing test did not build, or panicked.
		if e.Action == "fail" && !t.broken[e.Package] {
			t.failed++
		} else if e.Action == "pass" {
			fmt.Printf("ok  %s (%.1fs)\n", e.Package, e.Elapsed)
		}
		return
	}
	switch {
	case bad && t.broken[key]: // its subtests have been counted
	case bad:
		t.failed++
		t.broken[e.Package] = true
		for parent := e.Test; strings.Contains(parent, "/"); {
			parent = parent[:strings.LastIndex(parent, "/")]
			t.broken[e.Package+" "+parent] = true
		}
	case e.Action == "skip":
		t.skipped++
	case !t.parents[key]:
		t.passed++
	}
}
