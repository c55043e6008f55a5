// Command report reads the lines of go test -json, and says what they hold.
//
//	go test -json ./... | go run ./test/report count [-no-skips] [-copy FILE]
//
// shows what failed with its output, and ends with one line: passed, failed and
// skipped tests. It appends what it read to FILE, for the other two:
//
//	go run ./test/report contract [-contract docs/contract.md] < FILE > build/coverage.md
//
// prints a page that shows which test holds which promise of docs/contract.md. It
// fails when a promise has no passing test or a test names an unknown one.
//
//	go run ./test/report goals [-results FILE [-all]] [-soak] [-write]
//
// makes the table of wsfpm's goals: what is promised, which test holds it, what
// figure was reached, and how to see it. It prints the table, writes it to
// build/goals.md, and fails when a goal's test does not exist or has failed, when a
// test's figure says that its goal was missed, or when docs/goals.md lacks a goal. A
// benchmark that was missed is shown: it depends on the machine. With -all FILE has the
// lines of all tests: then each goal's must be among them, those of the soak aside. With
// -soak the table has only the goals with tests of the soak, is build/soak.md, and -all
// wants those tests. With -write docs/goals.md is made anew. A figure that this checkout
// has not measured, or that a benchmark has missed, is taken from there.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	name, args := "", []string(nil)
	if len(os.Args) > 1 {
		name, args = os.Args[1], os.Args[2:]
	}
	command, known := map[string]func(*flag.FlagSet) func() error{
		"count": countCommand, "contract": contractCommand, "goals": goalsCommand,
	}[name]
	if !known {
		fmt.Fprintln(os.Stderr, "report: want count, contract or goals")
		os.Exit(2)
	}
	flags := flag.NewFlagSet("report "+name, flag.ExitOnError)
	run := command(flags)
	_ = flags.Parse(args) // a mistake ends the process
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "report %s: %v\n", name, err)
		os.Exit(1)
	}
}

// event is one line of go test -json. A line that is none, such as what the go
// command itself writes, is an event without an action.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
	line                          []byte // as it was read
}

// name is the package without the module, a dot, and the test's name, which is
// empty for a package.
func (e event) name() string { return strings.TrimPrefix(e.Package, "wsfpm/") + "." + e.Test }

// ends reports whether the test or the package has ended.
func (e event) ends() bool { return e.Action == "pass" || e.Action == "fail" || e.Action == "skip" }

// readEvents calls each for every line.
func readEvents(in io.Reader, each func(event)) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			e := event{line: line}
			if json.Unmarshal(line, &e) != nil {
				e = event{line: line}
			}
			each(e)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
