// Command count reads the output of `go test -json`, shows what failed with
// its output, and ends with one line: passed, failed and skipped tests.
//
//	go test -json ./... | go run ./scripts/count [-no-skips] [-copy FILE]
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// event is one line of go test -json.
type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
}

// tally is what has been counted.
type tally struct {
	passed, failed, skipped int
	output                  map[string][]string // of tests that run, by package and name
	parents                 map[string]bool     // tests that have subtests: not counted
	broken                  map[string]bool     // packages and tests of which a part has been counted as failed
}

func main() {
	noSkips := flag.Bool("no-skips", false, "count a skipped test as failed")
	file := flag.String("copy", "", "append the input to this file")
	flag.Parse()
	t := &tally{output: make(map[string][]string), parents: make(map[string]bool), broken: make(map[string]bool)}
	in := bufio.NewReader(os.Stdin)
	var copied io.Writer = io.Discard
	if *file != "" {
		f, err := os.OpenFile(*file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		defer f.Close()
		copied = f
	}
	for {
		line, err := in.ReadBytes('\n')
		copied.Write(line)
		var e event
		if json.Unmarshal(line, &e) == nil {
			t.add(e, *noSkips)
		} else if len(line) > 0 {
			os.Stdout.Write(line)
		}
		if err != nil {
			break
		}
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
}

func (t *tally) add(e event, noSkips bool) {
	key := e.Package + " " + e.Test
	switch e.Action {
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

func (t *tally) end(e event, key string, noSkips bool) {
	bad := e.Action == "fail" || e.Action == "skip" && noSkips && e.Test != ""
	if bad {
		fmt.Printf("--- %s %s (%.1fs)\n", strings.ToUpper(e.Action), key, e.Elapsed)
		for _, line := range slices.Compact(t.output[key]) {
			fmt.Print("    ", line)
		}
	}
	delete(t.output, key)
	if e.Test == "" {
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
