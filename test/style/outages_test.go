package style

import (
	"go/ast"
	"os"
	"regexp"
	"strings"
	"testing"
)

// tableRows returns the rows of the first table after a heading of a page: their first cell,
// and the whole row.
func tableRows(t *testing.T, page, heading string) (first []string, rows map[string]string) {
	t.Helper()
	text, err := os.ReadFile("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, table, found := strings.Cut(section, "|---|")
	if !found {
		t.Fatalf("%s has no table below %q", page, heading)
	}
	rows = make(map[string]string)
	for line := range strings.Lines(table) {
		cells := strings.Split(line, " | ")
		if name, row := strings.CutPrefix(cells[0], "| "); row {
			first = append(first, name)
			rows[name] = line
		}
	}
	return first, rows
}

// Each outage of the contract has tests, which ARCHITECTURE.md names, and which exist.
func TestEachOutageHasItsTests(t *testing.T) {
	exists := make(map[string]bool)
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test() {
				exists[f.Name.Name] = true
			}
		}
	}
	outages, _ := tableRows(t, "docs/contract.md", "10. When a part is down")
	listed, tests := tableRows(t, "ARCHITECTURE.md", "What breaks, and the tests of it")
	for _, outage := range outages {
		names := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(tests[outage], -1)
		if len(names) == 0 {
			t.Errorf("%q of docs/contract.md has no test in ARCHITECTURE.md", outage)
		}
		for _, name := range names {
			if !exists[name[1]] {
				t.Errorf("ARCHITECTURE.md names %s, which does not exist", name[1])
			}
		}
	}
	if len(listed) != len(outages) {
		t.Errorf("ARCHITECTURE.md has %d outages, docs/contract.md %d", len(listed), len(outages))
	}
}
