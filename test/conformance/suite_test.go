package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// maxNonStrict is how many cases of a run may be met less than strictly.
const maxNonStrict = 2

// testCase is one conversation.
type testCase struct {
	id, about string
	run       func(*client) result
}

// group is the cases about one subject.
type group struct {
	id, about string
	cases     []testCase
}

// groups is the whole matrix.
func groups() []group {
	return []group{
		{"1", "framing", framingCases()},
		{"2", "pings and pongs", pingCases()},
		{"3", "reserved bits", reservedBitCases()},
		{"4", "reserved opcodes", opcodeCases()},
		{"5", "fragmentation", fragmentCases()},
		{"6", "UTF-8", utf8Cases()},
		{"7", "closing", closeCases()},
		{"9", "sizes", sizeCases()},
		{"10", "automatic fragmentation", autoFragmentCases()},
		{"12", "permessage-deflate: sizes", deflateSizeCases()},
		{"13", "permessage-deflate: parameters", deflateParameterCases()},
	}
}

// TestMatrixIsWhole counts the cases: a loop that makes none would pass.
func TestMatrixIsWhole(t *testing.T) {
	want := map[string]int{"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 54, "10": 1, "12": 90, "13": 126}
	seen := make(map[string]bool)
	for _, g := range groups() {
		if len(g.cases) != want[g.id] {
			t.Errorf("group %s has %d cases, want %d", g.id, len(g.cases), want[g.id])
		}
		for _, c := range g.cases {
			if seen[c.id] || !strings.HasPrefix(c.id, g.id+".") {
				t.Errorf("case %s of group %s is there twice or elsewhere", c.id, g.id)
			}
			seen[c.id] = true
		}
	}
	if len(seen) != 517 {
		t.Errorf("got %d cases, want 517", len(seen))
	}
}

func TestConformance(t *testing.T) {
	var report strings.Builder
	report.WriteString("# RFC 6455 conformance\n")
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		fmt.Fprintf(&report, "\n## %s\n", at.name)
		tally := runGroups(t, at, &report)
		if tally[nonStrict] > maxNonStrict {
			t.Errorf("%d cases are met less than strictly, at most %d may be", tally[nonStrict], maxNonStrict)
		}
		if tally[unimplemented] > maxUnimplemented {
			t.Errorf("%d cases are not implemented, at most %d may be", tally[unimplemented], maxUnimplemented)
		}
		t.Logf("%s: %s", at.name, counts(tally))
	})
	stack.Table(t, "conformance.md", report.String())
}

// runGroups runs every case and writes the report's table of it.
func runGroups(t *testing.T, at *target, report *strings.Builder) (total [verdicts]int) {
	var details strings.Builder
	report.WriteString("\n| group | cases | verdicts | time |\n|---|---|---|---|\n")
	for _, g := range groups() {
		start := time.Now()
		var tally [verdicts]int
		for _, c := range g.cases {
			var r result
			t.Run(c.id, func(t *testing.T) { r = c.play(t, at) })
			tally[r.verdict]++
			total[r.verdict]++
			fmt.Fprintf(&details, "| %s | %s | %v | %s |\n", c.id, c.about, r.verdict, cell(r.why))
		}
		took := time.Since(start).Round(time.Millisecond)
		t.Logf("%s, group %s, %s: %s (%v)", at.name, g.id, g.about, counts(tally), took)
		fmt.Fprintf(report, "| %s %s | %d | %s | %v |\n", g.id, g.about, len(g.cases), counts(tally), took)
	}
	fmt.Fprintf(report, "| all | | %s | |\n\n| case | what | verdict | why |\n|---|---|---|---|\n%s", counts(total), details.String())
	return total
}

// play runs one case on a connection of its own.
func (c testCase) play(t *testing.T, at *target) result {
	conn, err := open(at.address, "/echo")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := c.run(conn)
	switch r.verdict {
	case failed:
		t.Errorf("%s: %s", c.about, r.why)
	case nonStrict:
		t.Logf("%s: not strict: %s", c.about, r.why)
	}
	return r
}

// counts returns the number of cases by verdict.
func counts(tally [verdicts]int) string {
	var parts []string
	for v, n := range tally {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %v", n, verdict(v)))
		}
	}
	return strings.Join(parts, ", ")
}

// cell makes a text fit into a table.
func cell(s string) string {
	s = strings.NewReplacer("|", "\\|", "\n", " ").Replace(s)
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
