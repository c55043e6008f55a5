package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// reached is a file of build/goals.
type reached struct {
	Goal   string `json:"goal"`
	Test   string `json:"test"` // of several, one that missed the figure
	Figure string `json:"figure"`
	Passed bool   `json:"passed"`
}

// figures reads build/goals. Several files of one goal are taken together.
func figures(root string) (map[string]reached, error) {
	files, err := filepath.Glob(filepath.Join(root, "build", "goals", "*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	all := make(map[string]reached)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var r reached
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if before, twice := all[r.Goal]; twice {
			if !before.Passed {
				r.Test, r.Passed = before.Test, false
			}
			r.Figure = strings.Trim(before.Figure+"; "+r.Figure, "; ")
		}
		all[r.Goal] = r
	}
	return all, nil
}

// outcome is what a run of the tests has shown.
type outcome struct {
	known  bool                // there was a run
	result map[string]string   // of each test: pass, fail or skip
	output map[string][]string // what goals' tests have written
	passed int
	races  int
}

// results reads the lines of go test -json.
func results(in io.Reader, wanted map[string]bool) (*outcome, error) {
	o := &outcome{result: make(map[string]string), output: make(map[string][]string)}
	err := readEvents(in, func(e event) { o.add(e, wanted) })
	return o, err
}

func (o *outcome) add(e event, wanted map[string]bool) {
	if e.ends() {
		o.known = true
		o.result[e.name()] = e.Action
		if e.Action == "pass" && e.Test != "" {
			o.passed++
		}
	}
	if strings.Contains(e.Output, "WARNING: DATA RACE") {
		o.races++
	}
	if e.Output != "" && wanted[e.name()] {
		o.output[e.name()] = append(o.output[e.name()], e.Output)
	}
}

// sources are the tests and fuzz targets that the checkout has.
func sources(root string) (map[string]bool, error) {
	found := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == "build") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
				found[filepath.ToSlash(folder)+"."+f.Name.Name] = true
			}
		}
		return err
	})
	return found, err
}

// benchmarks are the targets of the newest whole run of the benchmark, in words.
func benchmarks(root string) ([]benchmark, error) {
	files, err := filepath.Glob(filepath.Join(root, "bench", "results", "*.json"))
	if err != nil || len(files) == 0 {
		return nil, err
	}
	slices.Sort(files)
	for _, file := range slices.Backward(files) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var run struct {
			Quick   bool        `json:"quick"`
			Targets []benchmark `json:"targets"`
		}
		if err := json.Unmarshal(text, &run); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if !run.Quick && len(run.Targets) > 0 {
			return run.Targets, nil
		}
	}
	return nil, nil
}

// benchmark is one target of the benchmark with what was measured.
type benchmark struct {
	What   string  `json:"what"`
	Median float64 `json:"median"`
	Unit   string  `json:"unit"`
	Met    bool    `json:"met"`
}

// matches reports whether the target belongs to a goal.
func (b benchmark) matches(beginnings []string) bool {
	return slices.ContainsFunc(beginnings, func(s string) bool { return strings.HasPrefix(b.What, s) })
}

func (b benchmark) String() string {
	figure := fmt.Sprintf("%.4g %s", b.Median, b.Unit)
	if b.Median >= 1000 {
		figure = fmt.Sprintf("%.0f %s", b.Median, b.Unit)
	}
	return b.What + " " + strings.TrimSpace(figure)
}

var (
	conformanceRow = regexp.MustCompile(`(?m)^\| all \| \| (.*?) \|`)
	pageRow        = regexp.MustCompile(`(?m)^\| <a id="(G\d+)"></a> ?[^|]*\|[^|]*\|[^|]*\|[^|]*\|([^|]*)\|`)
)

// conformance is the verdict over all cases, "" when the suite has not run.
func conformance(root string) string {
	text, _ := os.ReadFile(filepath.Join(root, "build", "conformance.md"))
	if m := conformanceRow.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

// known are the figures that a page of goals has.
func known(page []byte) map[string]string {
	found := make(map[string]string)
	for _, m := range pageRow.FindAllSubmatch(page, -1) {
		found[string(m[1])] = strings.TrimSpace(string(m[2]))
	}
	return found
}
