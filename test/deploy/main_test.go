package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"wsfpm/test/stack"
)

func TestMain(m *testing.M) {
	os.Exit(stack.Main(m, "deploy", func(*stack.Suite) {}))
}

// read is the text of a file of the checkout.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(stack.Root(t), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// write makes a file with its folders.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// run runs a program in the checkout's root and returns what it printed.
func run(t *testing.T, cmd *exec.Cmd) (string, error) {
	t.Helper()
	if cmd.Dir == "" {
		cmd.Dir = stack.Root(t)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
