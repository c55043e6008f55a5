package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"wsfpm/test/contract"
)

// coverage is what the tests have said.
type coverage struct {
	rows   map[string][]string // id to tests
	result map[string]string   // test to pass, fail or skip
}

// contractCommand is report contract.
func contractCommand(flags *flag.FlagSet) func() error {
	file := flags.String("contract", "docs/contract.md", "the contract")
	return func() error { return cover(*file, os.Stdin, os.Stdout) }
}

// cover prints the page, and fails when a promise is not held.
func cover(file string, in io.Reader, out io.Writer) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	ids, err := contract.IDs(text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	c := &coverage{rows: make(map[string][]string), result: make(map[string]string)}
	if err := readEvents(in, c.add); err != nil {
		return err
	}
	return c.print(out, ids)
}

func (c *coverage) add(e event) {
	if e.Test == "" {
		return
	}
	if e.ends() {
		c.result[e.name()] = e.Action
	}
	_, id, found := strings.Cut(e.Output, contract.Marker)
	id = strings.TrimSpace(id)
	if found && !slices.Contains(c.rows[id], e.name()) {
		c.rows[id] = append(c.rows[id], e.name())
	}
}

func (c *coverage) print(out io.Writer, ids []string) error {
	fmt.Fprint(out, "# Which test holds which promise\n\nMade by `make test` from the tests' own words; do not edit.\n\n| promise | tests |\n|---|---|\n")
	var bad []string
	for _, id := range ids {
		var names []string
		passed := false
		slices.Sort(c.rows[id])
		for _, test := range c.rows[id] {
			mark := ""
			if c.result[test] != "pass" {
				mark = " (" + c.result[test] + ")"
			}
			passed = passed || mark == ""
			names = append(names, "`"+test+"`"+mark)
		}
		if !passed {
			bad = append(bad, id+" has no passing test")
		}
		fmt.Fprintf(out, "| [%s](contract.md#%s) | %s |\n", id, id, strings.Join(names, ", "))
	}
	for id := range c.rows {
		if !slices.Contains(ids, id) {
			bad = append(bad, "no row "+id+", named by "+strings.Join(c.rows[id], ", "))
		}
	}
	slices.Sort(bad)
	fmt.Fprintf(out, "\n%d promises, %d of them held by a passing test.\n", len(ids), len(ids)-count(bad))
	if len(bad) > 0 {
		return fmt.Errorf("%s", strings.Join(bad, "\n\t"))
	}
	return nil
}

// count is the number of promises without a passing test.
func count(bad []string) int {
	n := 0
	for _, line := range bad {
		if strings.HasSuffix(line, "has no passing test") {
			n++
		}
	}
	return n
}
