package stack

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Goal is what a test says of one of the goals in docs/goals.md. It is written
// to build/goals, where test/report reads it.
type Goal struct {
	Goal    string    `json:"goal"`    // its number, such as G16
	Promise string    `json:"promise"` // in a few words
	Test    string    `json:"test"`
	Figure  string    `json:"figure"` // what was reached
	Command string    `json:"command"`
	Passed  bool      `json:"passed"`
	At      time.Time `json:"at"` // the test's end
}

// Promise announces which goal the test holds. When the test is over, passed or
// not, what it reached is in build/goals/NUMBER.json.
func Promise(t T, number, words string) *Goal {
	t.Helper()
	root := Root(t)
	folder, err := os.Getwd()
	if err == nil {
		folder, err = filepath.Rel(root, folder)
	}
	if err != nil {
		t.Fatalf("find the package's folder: %v", err)
	}
	g := &Goal{Goal: number, Promise: words, Test: t.Name(),
		Command: fmt.Sprintf("WSFPM_INTEGRATION=1 go test -run '^%s$' ./%s", t.Name(), folder)}
	t.Cleanup(func() {
		g.Passed, g.At = !t.Failed(), time.Now().UTC().Truncate(time.Second)
		t.Logf("%s: %s", g.Goal, g.Figure)
		if err := g.write(filepath.Join(root, "build", "goals")); err != nil {
			t.Errorf("write the figure: %v", err)
		}
	})
	return g
}

// Reached adds a figure.
func (g *Goal) Reached(format string, args ...any) {
	g.Figure = strings.TrimPrefix(g.Figure+"; "+fmt.Sprintf(format, args...), "; ")
}

// Table writes what a test has measured to a file of the folder build.
func Table(t T, name, text string) {
	t.Helper()
	folder := filepath.Join(Root(t), "build")
	err := os.MkdirAll(folder, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644)
	}
	if err != nil {
		t.Fatalf("write the table: %v", err)
	}
}

func (g *Goal) write(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, g.Goal+".json"), append(text, '\n'), 0o644)
}
