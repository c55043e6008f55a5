package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"wsfpm/cmd/wsfpm/terminal"
)

// Print writes one line for each result, and the lines to paste below it.
func Print(to io.Writer, results []Result) error {
	var b strings.Builder
	for _, r := range results {
		fmt.Fprintf(&b, "%-8s %-15s %s\n", r.Status, r.Check, terminal.Escape(r.Text))
		if r.Cure == "" {
			continue
		}
		for _, line := range strings.Split(r.Cure, "\n") {
			b.WriteString(strings.TrimRight(strings.Repeat(" ", 25)+terminal.Escape(line), " ") + "\n")
		}
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// PrintJSON writes the results as one JSON object.
func PrintJSON(to io.Writer, results []Result) error {
	e := json.NewEncoder(to)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Exit    int      `json:"exit"`
		Results []Result `json:"results"`
	}{Exit(results), results})
}

// Exit is the exit status of the program: 2 with a fault, 1 with a warning, else 0.
func Exit(results []Result) int {
	status := 0
	for _, r := range results {
		switch r.Status {
		case Fault:
			return 2
		case Warning:
			status = 1
		}
	}
	return status
}
