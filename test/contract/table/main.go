// Command table reads the output of `go test -json` on standard input and
// prints a page that shows which test holds which promise of docs/contract.md.
// It fails when a promise has no passing test or a test names an unknown one.
//
//	go test -json ./... | go run ./test/contract/table [-contract docs/contract.md] > docs/coverage.md
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

	"wsfpm/test/contract"
)

// event is one line of go test -json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// coverage is what the tests have said.
type coverage struct {
	rows   map[string][]string // id to tests
	result map[string]string   // test to pass, fail or skip
}

func main() {
	file := flag.String("contract", "docs/contract.md", "the contract")
	flag.Parse()
	if err := run(*file, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "contract table:", err)
		os.Exit(1)
	}
}

func run(file string, in io.Reader, out io.Writer) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	ids, err := contract.IDs(text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	c, err := read(in)
	if err != nil {
		return err
	}
	return c.print(out, ids)
}

func read(in io.Reader) (*coverage, error) {
	c := &coverage{rows: make(map[string][]string), result: make(map[string]string)}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return nil, err
		}
		var e event
		if json.Unmarshal(line, &e) == nil && e.Test != "" {
			c.add(e)
		}
		if err == io.EOF {
			return c, nil
		}
	}
}

func (c *coverage) add(e event) {
	test := strings.TrimPrefix(e.Package, "wsfpm/") + "." + e.Test
	switch e.Action {
	case "pass", "fail", "skip":
		c.result[test] = e.Action
	case "output":
		_, id, found := strings.Cut(e.Output, contract.Marker)
		id = strings.TrimSpace(id)
		if found && !slices.Contains(c.rows[id], test) {
			c.rows[id] = append(c.rows[id], test)
		}
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
