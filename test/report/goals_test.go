package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

func TestMain(m *testing.M) {
	os.Exit(stack.Main(m, "report", func(*stack.Suite) {}))
}

func TestEveryGoalHasItsTestsAndItsRow(t *testing.T) {
	root := stack.Root(t)
	found, err := sources(root)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, g := range goals() {
		if seen[g.number] {
			t.Errorf("%s stands twice", g.number)
		}
		seen[g.number] = true
		for _, test := range g.tests {
			if !found[test] {
				t.Errorf("%s: there is no test %s", g.number, test)
			}
		}
		if g.later == "" && (g.command == "" || len(g.tests)+len(g.bench) == 0 && !g.race) {
			t.Errorf("%s: nothing holds it", g.number)
		}
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "goals.md"))
	if err != nil {
		t.Fatal(err)
	}
	if err := complete(page); err != nil {
		t.Error(err)
	}
}

// lay makes a checkout with a test and the given further files.
func lay(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	files["pkg/a_test.go"] = "package pkg\nfunc TestA() {}\nfunc FuzzB() {}\nfunc helper() {}\n"
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// wholeRun is the end of the only package that a run for races must have.
const wholeRun = `{"Action":"pass","Package":"wsfpm/pkg"}` + "\n"

const passedLine = `{"Action":"pass","Package":"wsfpm/pkg","Test":"TestA"}` + "\n"

func TestARowSaysWhatIsKnown(t *testing.T) {
	for _, c := range []struct {
		name          string
		goal          goal
		files         map[string]string
		state, figure string
		bad           string
	}{
		{"nothing", goal{tests: []string{"pkg.TestA"}}, map[string]string{}, "not run", "held by its tests", ""},
		{"no such test", goal{tests: []string{"pkg.TestZ"}}, map[string]string{}, "FAILED", "held by its tests", "no test pkg.TestZ"},
		{"passed", goal{tests: []string{"pkg.TestA", "pkg.FuzzB"}}, map[string]string{"results": passedLine + strings.Replace(passedLine, "TestA", "FuzzB", 1)}, "passed", "held by its tests", ""},
		{"one of two", goal{tests: []string{"pkg.TestA", "pkg.FuzzB"}}, map[string]string{"results": passedLine}, "partly run", "held by its tests", ""},
		{"failed", goal{tests: []string{"pkg.TestA"}}, map[string]string{"results": strings.Replace(passedLine, "pass", "fail", 1)}, "FAILED", "held by its tests", "pkg.TestA has failed"},
		{"a figure", goal{tests: []string{"pkg.TestA"}}, map[string]string{"build/goals/X.json": `{"goal":"G1","figure":"7 of 7","passed":true}`}, "passed earlier", "7 of 7", ""},
		{"two figures, one bad", goal{tests: []string{"pkg.TestA"}}, map[string]string{
			"build/goals/X.json": `{"goal":"G1","figure":"7","passed":true}`, "build/goals/Y.json": `{"goal":"G1","figure":"8","passed":false}`}, "FAILED", "7; 8", "missed"},
		{"a sign", goal{tests: []string{"pkg.TestA"}, sign: `(level \d)`}, map[string]string{
			"results": `{"Action":"output","Package":"wsfpm/pkg","Test":"TestA","Output":"level 3"}` + "\n" + passedLine}, "passed", "level 3", ""},
		{"races", goal{race: true}, map[string]string{"results": wholeRun + passedLine + `{"Action":"output","Package":"wsfpm/pkg","Test":"TestZ","Output":"WARNING: DATA RACE\n"}`}, "FAILED", "1 tests, 1 races", "data race"},
		{"no races", goal{race: true}, map[string]string{"results": wholeRun + passedLine}, "passed", "1 tests, 0 races", ""},
		{"a part of a run", goal{race: true}, map[string]string{"results": passedLine}, "not run", "not measured here", ""},
		{"the benchmark", goal{bench: []string{"memory"}}, map[string]string{
			"bench/results/1.json": `{"targets":[{"what":"memory of one","median":7300,"unit":"bytes","met":true},{"what":"other","met":false}]}`,
			"bench/results/2.json": `{"quick":true,"targets":[{"what":"memory of one","met":false}]}`}, "passed earlier", "memory of one 7300 bytes", ""},
		{"a benchmark that was missed", goal{bench: []string{"memory", "time"}}, map[string]string{
			"bench/results/1.json": `{"targets":[{"what":"time of one","median":9,"unit":"µs","met":false},{"what":"memory of one","median":7300,"unit":"bytes","met":true}]}`,
		}, "missed earlier", "time of one 9 µs; memory of one 7300 bytes", ""},
		{"an earlier page", goal{tests: []string{"pkg.TestA"}}, map[string]string{"docs/goals.md": "| <a id=\"G1\"></a> G1 | a | b | c | 42 things | passed | d |\n"}, "not run", "42 things", ""},
		{"conformance", goal{tests: []string{"pkg.TestA"}, conformance: true}, map[string]string{"build/conformance.md": "| all | | 517 OK | |\n"}, "not run", "517 OK", ""},
		{"later", goal{later: "soon"}, map[string]string{}, "later", "soon", ""},
	} {
		root := lay(t, c.files)
		file := ""
		if c.files["results"] != "" {
			file = filepath.Join(root, "results")
		}
		e, err := gather(root, file)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for _, test := range c.goal.tests { // none of these is among the real goals
			if text := c.files["results"]; c.goal.sign != "" {
				e.outcome.output[test] = append(e.outcome.output[test], text)
			}
		}
		c.goal.number = "G1"
		r := e.row(c.goal)
		if c.bad != "" && r.kept == r.figure && r.figure != "held by its tests" {
			t.Errorf("%s: the figure of a goal that was missed is kept", c.name)
		}
		if r.state != c.state || r.figure != c.figure {
			t.Errorf("%s: got %s, %q; want %s, %q", c.name, r.state, r.figure, c.state, c.figure)
		}
		if err := missed([]row{r}); (err != nil) != (c.bad != "") || err != nil && !strings.Contains(err.Error(), c.bad) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.bad)
		}
	}
}

func TestAWholeRunHasEveryTest(t *testing.T) {
	root := lay(t, map[string]string{"results": passedLine})
	e, err := gather(root, filepath.Join(root, "results"))
	if err != nil {
		t.Fatal(err)
	}
	e.all = true
	g := goal{number: "G1", tests: []string{"pkg.TestA", "pkg.FuzzB"}}
	if err := missed([]row{e.row(g)}); err == nil || !strings.Contains(err.Error(), "FuzzB has not run") {
		t.Errorf("got %v", err)
	}
}

// Each of make test and make soak wants its own tests to have run, and make
// test is not red for what an earlier soak has missed.
func TestTheSoakHasItsOwnTests(t *testing.T) {
	const soak = "pkg.TestSoakC"
	root := lay(t, map[string]string{"results": passedLine, "pkg/c_test.go": "package pkg\nfunc TestSoakC() {}\n",
		"build/goals/X.json": `{"goal":"G1","test":"TestSoakC","figure":"7","passed":false}`})
	e, err := gather(root, filepath.Join(root, "results"))
	if err != nil {
		t.Fatal(err)
	}
	e.all = true
	g := goal{number: "G1", tests: []string{"pkg.TestA", soak}}
	if err := missed([]row{e.row(g)}); err != nil {
		t.Errorf("make test: %v", err)
	}
	e.soak = true
	if err := missed([]row{e.row(g)}); err == nil || !strings.Contains(err.Error(), soak+" has not run") || !strings.Contains(err.Error(), "missed") {
		t.Errorf("make soak: got %v, want that %s has not run and that a figure was missed", err, soak)
	}
}

func TestThePageIsReadBack(t *testing.T) {
	rows := make([]row, 0, len(goals()))
	for _, g := range goals() {
		rows = append(rows, row{goal: g, state: "passed", kept: "a | b\nof " + g.number})
	}
	page := document(rows)
	if err := complete([]byte(page)); err != nil {
		t.Error(err)
	}
	if got := known([]byte(page))["G12"]; got != "a / b of G12" {
		t.Errorf("got %q", got)
	}
	without := strings.Replace(page, `<a id="G7"></a>`, "", 1)
	if err := complete([]byte(without)); err == nil || !strings.Contains(err.Error(), "G7") {
		t.Errorf("a page without G7: got %v", err)
	}
	more := page + "| <a id=\"G99\"></a> G99 | a | b | c | d | e |\n"
	if err := complete([]byte(more)); err == nil || !strings.Contains(err.Error(), "G99") {
		t.Errorf("a page with G99: got %v", err)
	}
}
