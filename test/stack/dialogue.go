package stack

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// A Dialogue is a program of a test's own, in PHP or Node, that answers each line of its input
// with a line.
type Dialogue struct {
	in  io.Writer
	out *bufio.Reader
}

// StartDialogue starts the program, whose errors are shown. Its input ends with the test, which
// waits for the program.
func StartDialogue(t T, cmd *exec.Cmd) *Dialogue {
	t.Helper()
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatalf("%s: %v", cmd.Path, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("%s: %v", cmd.Path, err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", cmd.Path, err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // its answers were checked
	})
	return &Dialogue{in, bufio.NewReader(out)}
}

// Ask writes a line and returns the answer.
func (d *Dialogue) Ask(line string) (string, error) {
	if _, err := io.WriteString(d.in, line+"\n"); err != nil {
		return "", fmt.Errorf("write to the program: %w", err)
	}
	return d.Next()
}

// Next returns the next line that the program writes.
func (d *Dialogue) Next() (string, error) {
	line, err := d.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read from the program: %w", err)
	}
	return strings.TrimSuffix(line, "\n"), nil
}
