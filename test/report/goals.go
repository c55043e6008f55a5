package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// goalsCommand is report goals.
func goalsCommand(flags *flag.FlagSet) func() error {
	file := flags.String("results", "", "the lines of go test -json; - is the standard input")
	all := flags.Bool("all", false, "want every goal's tests in the results")
	soak := flags.Bool("soak", false, "only the goals that make soak holds")
	write := flags.Bool("write", false, "write docs/goals.md too")
	root := flags.String("root", ".", "the checkout")
	return func() error { return reportGoals(*root, *file, *all, *soak, *write) }
}

func reportGoals(root, file string, all, soak, write bool) error {
	e, err := gather(root, file)
	if err != nil {
		return err
	}
	e.all, e.soak = all, soak
	rows := make([]row, 0, len(goals()))
	for _, g := range goals() {
		if !soak || slices.ContainsFunc(g.tests, soaks) {
			rows = append(rows, e.row(g))
		}
	}
	page, name := table(rows), "goals.md"
	if soak {
		name = "soak.md"
	}
	fmt.Print(page)
	if err := os.MkdirAll(filepath.Join(root, "build"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "build", name), []byte(page), 0o644); err != nil {
		return err
	}
	docs := filepath.Join(root, "docs", "goals.md")
	if write && !soak {
		if err := os.WriteFile(docs, []byte(document(rows)), 0o644); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(docs)
	if err != nil {
		return err
	}
	return errors.Join(missed(rows), complete(text))
}

// evidence is all that is known about the goals.
type evidence struct {
	figures     map[string]reached
	outcome     *outcome
	sources     map[string]bool
	bench       []benchmark
	conformance string
	before      map[string]string // figures of docs/goals.md
	all         bool              // the run was of all tests
	soak        bool              // of the soak's
}

func gather(root, file string) (*evidence, error) {
	e := &evidence{conformance: conformance(root)}
	wanted := make(map[string]bool)
	for _, g := range goals() {
		for _, test := range g.tests {
			wanted[test] = true
		}
	}
	var err error
	if e.outcome, err = readResults(file, wanted); err != nil {
		return nil, err
	}
	if e.figures, err = figures(root); err != nil {
		return nil, err
	}
	if e.sources, err = sources(root); err != nil {
		return nil, err
	}
	if e.bench, err = benchmarks(root); err != nil {
		return nil, err
	}
	page, _ := os.ReadFile(filepath.Join(root, "docs", "goals.md")) // complete complains of its lack
	e.before = known(page)
	return e, nil
}

func readResults(file string, wanted map[string]bool) (*outcome, error) {
	switch file {
	case "":
		return &outcome{}, nil
	case "-":
		return results(os.Stdin, wanted)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return results(f, wanted)
}

// row is a goal with what is known about it.
type row struct {
	goal
	state  string // passed, partly run, passed earlier, missed earlier, not run, FAILED, later
	figure string
	kept   string   // the figure for docs/goals.md: one that was not missed
	bad    []string // what is wrong
}

// benchMissed is the state of a goal that the last benchmark did not reach. No test has failed:
// the same code reaches it on a faster machine.
const benchMissed = "missed earlier"

func (e *evidence) row(g goal) row {
	r := row{goal: g, state: "not run"}
	if g.later != "" {
		r.state, r.figure, r.kept = "later", g.later, g.later
		return r
	}
	for _, test := range g.tests {
		if !e.sources[test] {
			r.bad = append(r.bad, "there is no test "+test)
		}
	}
	e.ran(&r)
	e.measured(&r)
	otherwise := cmp.Or(e.before[g.number], "held by its tests")
	if len(g.tests) == 0 || len(g.bench) > 0 {
		otherwise = cmp.Or(e.before[g.number], "not measured here")
	}
	r.figure = cmp.Or(r.figure, otherwise)
	if len(r.bad) > 0 {
		r.state = "FAILED"
	}
	if r.kept = r.figure; r.state == "FAILED" || r.state == benchMissed {
		r.kept = otherwise
	}
	return r
}

// soaks reports whether a test is one of the soak.
func soaks(test string) bool { return strings.Contains(test, ".TestSoak") }

// ran takes what the tests of a run said.
func (e *evidence) ran(r *row) {
	if !e.outcome.known {
		return
	}
	passed := 0
	for _, test := range r.tests {
		switch result := e.outcome.result[test]; {
		case result == "pass":
			passed++
		case result == "fail":
			r.bad = append(r.bad, test+" has failed")
		case e.all && e.soak == soaks(test):
			r.bad = append(r.bad, test+" has not run")
		}
		for _, line := range e.outcome.output[test] {
			if r.sign == "" {
				continue
			}
			if m := regexp.MustCompile(r.sign).FindStringSubmatch(line); m != nil {
				r.figure = m[1]
			}
		}
	}
	if passed > 0 {
		r.state = "partly run"
	}
	if passed > 0 && passed == len(r.tests) && len(r.bench) == 0 {
		r.state = "passed"
	}
	if r.race && e.whole() {
		r.state, r.figure = "passed", fmt.Sprintf("%d tests, %d races", e.outcome.passed, e.outcome.races)
	}
	if r.race && e.outcome.races > 0 {
		r.bad = append(r.bad, "a data race was reported")
	}
}

// whole reports whether all packages with tests have passed, those that make test runs
// without the race detector aside; a run of some says nothing about races.
func (e *evidence) whole() bool {
	for test := range e.sources {
		pkg, _, _ := strings.Cut(test, ".")
		elsewhere := strings.HasPrefix(pkg, "test/") || strings.HasPrefix(pkg, "bench") || strings.HasPrefix(pkg, "scripts/")
		if !elsewhere && e.outcome.result[pkg+"."] != "pass" {
			return false
		}
	}
	return true
}

// measured takes the figures that tests and benchmarks have written.
func (e *evidence) measured(r *row) {
	if f, found := e.figures[r.number]; found {
		r.figure = f.Figure
		if r.state == "not run" {
			r.state = "passed earlier"
		}
		if !f.Passed && !(e.all && !e.soak && soaks("."+f.Test)) { // make test does not judge an earlier soak
			r.bad = append(r.bad, "the figure in build/goals says that it was missed")
		}
		return
	}
	if r.conformance && e.conformance != "" {
		r.figure = e.conformance
	}
	var list []string
	state := "passed earlier"
	for _, b := range e.bench {
		if !b.matches(r.bench) {
			continue
		}
		list = append(list, b.String())
		if !b.Met {
			state = benchMissed
		}
	}
	if len(list) > 0 {
		r.state, r.figure = state, strings.Join(list, "; ")
	}
}

// document is docs/goals.md.
func document(rows []row) string {
	var b strings.Builder
	b.WriteString(`# Goals

For users who want proof: each goal of wsfpm, the tests that hold it, the last figure reached, and the command that measures it. ` + "`make goals`" + ` prints this table for
your machine, from results in ` + "`build/goals`" + `; ` + "`make test`" + ` ends with it and fails when a test of a goal has failed. Tests named
` + "`TestSoak…`" + ` judge time or memory against the machine or take long: ` + "`make soak`" + ` runs them before a release, and ends with their part of the table. A benchmark depends on the machine: [bench.md](bench.md) has the last published run, with what it missed.

| goal | promise | to reach | test | reached | command |
|---|---|---|---|---|---|
`)
	for _, r := range rows {
		fmt.Fprintf(&b, "%s %s | %s |\n", r.begin(), plain(r.kept), code(r.command))
	}
	return b.String()
}

// table is build/goals.md.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString("# Goals on this machine\n\n\"Not run\" means: not in the run that this page was made from; \"earlier\": a figure is there from another run.\n\n" +
		"| goal | promise | to reach | test | reached | state | command |\n|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "%s %s | %s | %s |\n", r.begin(), plain(r.figure), r.state, code(r.command))
	}
	return b.String()
}

// begin is the columns that both pages have.
func (r row) begin() string {
	tests := make([]string, 0, len(r.tests))
	for _, test := range r.tests {
		tests = append(tests, code(test))
	}
	if r.race {
		tests = append(tests, "all")
	}
	return fmt.Sprintf("| <a id=%q></a> %s | %s | %s | %s |", r.number, r.number, plain(r.promise), plain(r.target), strings.Join(tests, ", "))
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + plain(s) + "`"
}

// plain keeps a text from ending its cell.
func plain(s string) string { return strings.NewReplacer("|", "/", "\n", " ").Replace(s) }

// missed is an error that names the goals that are not held.
func missed(rows []row) error {
	var list []string
	for _, r := range rows {
		for _, bad := range r.bad {
			list = append(list, r.number+": "+bad)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return errors.New(strings.Join(list, "\n\t"))
}

// complete is an error unless the page has a row for each goal, and no other.
func complete(page []byte) error {
	rows := known(page)
	var all []string
	for _, g := range goals() {
		all = append(all, g.number)
		if _, found := rows[g.number]; !found {
			return fmt.Errorf("docs/goals.md has no row %s: go run ./test/report goals -write", g.number)
		}
	}
	for number := range rows {
		if !slices.Contains(all, number) {
			return fmt.Errorf("docs/goals.md has a row %s, which is no goal", number)
		}
	}
	return nil
}
