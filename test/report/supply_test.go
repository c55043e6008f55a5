package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// runIn runs a program in a folder with further environment.
func runIn(t *testing.T, dir string, env []string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// copyTree copies the files that git knows to a folder.
func copyTree(t *testing.T, root, to string) {
	t.Helper()
	list, err := runIn(t, root, nil, "git", "ls-files", "--cached", "-z")
	if err != nil {
		t.Fatalf("git ls-files: %v\n%s", err, list)
	}
	for name := range strings.SplitSeq(strings.TrimRight(list, "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // removed, not yet committed
		}
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// built builds wsfpm from a copy in a folder of its own, with further
// environment, and returns the binary's hash.
func built(t *testing.T, root, name string, env ...string) string {
	t.Helper()
	dir := filepath.Join(stack.TempDir(t), name)
	copyTree(t, root, dir)
	binary := filepath.Join(dir, "wsfpm")
	out, err := runIn(t, dir, append(env, "CGO_ENABLED=0", "GOFLAGS="), "go", "build", "-trimpath", "-o", binary, "./cmd/wsfpm")
	if err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	f, err := os.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// vulnerabilities is what govulncheck says, in a few words. A database that
// cannot be reached is told, and fails nothing.
func vulnerabilities(t *testing.T, root string) string {
	t.Helper()
	out, err := runIn(t, root, nil, "go", "run", "golang.org/x/vuln/cmd/govulncheck@v1.8.0", "./...")
	if err == nil {
		return "0 vulnerabilities reached"
	}
	if strings.Contains(out, "Vulnerability #") {
		t.Errorf("govulncheck:\n%s", out)
		return "vulnerabilities are reached"
	}
	t.Logf("govulncheck: %v\n%s", err, out)
	if strings.Contains(out, "fetching vulnerabilities") {
		return "vulnerabilities NOT CHECKED: the database could not be reached"
	}
	return "vulnerabilities NOT CHECKED: " + err.Error()
}

func TestModulesAreThoseThatGoSumNames(t *testing.T) {
	stack.Integration(t)
	if out, err := runIn(t, stack.Root(t), nil, "go", "mod", "verify"); err != nil || !strings.Contains(out, "all modules verified") {
		t.Errorf("go mod verify: %v\n%s", err, out)
	}
}

func TestSoakSupplyChain(t *testing.T) {
	stack.Integration(t)
	goal := stack.Promise(t, "G18", "builds are reproducible from the repository")
	root := stack.Root(t)
	out, err := runIn(t, root, nil, "go", "mod", "verify")
	if err != nil || !strings.Contains(out, "all modules verified") {
		t.Errorf("go mod verify: %v\n%s", err, out)
	}
	goal.Reached("go mod verify: %s", out)
	// The second takes nothing from the first: it compiles all, the standard library too.
	first, second := built(t, root, "one"), built(t, root, "another-folder", "GOCACHE="+filepath.Join(stack.TempDir(t), "cache"))
	if first != second {
		t.Errorf("two builds differ: %s and %s", first, second)
	}
	goal.Reached("two builds in different folders and caches: sha256 %.12s and %.12s", first, second)
	goal.Reached("%s", vulnerabilities(t, root))
}
