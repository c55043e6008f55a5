package stack

import (
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// T is the part of testing.TB that the servers need. Both *testing.T and
// *Suite have it, so a server can belong to one test or to a whole package.
type T interface {
	Helper()
	Name() string
	Failed() bool
	Cleanup(func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Output() io.Writer // of the test's log
}

// Suite owns the servers that all tests of a package share. It stands in for
// *testing.T in TestMain. It is used by one goroutine.
type Suite struct {
	name     string
	failed   bool
	cleanups []func()
}

// Main runs a package's tests between setup and the end of every server that
// setup started. Without WSFPM_INTEGRATION=1 setup is not called. It returns
// the exit code for TestMain.
func Main(m *testing.M, name string, setup func(*Suite)) int {
	s := &Suite{name: name}
	defer removeBuilt()
	defer s.cleanup()
	if Enabled() {
		setup(s)
	}
	code := m.Run()
	s.failed = s.failed || code != 0
	return code
}

// Helper does nothing; it makes Suite a T.
func (s *Suite) Helper() {}

// Name is the name given to Main.
func (s *Suite) Name() string { return s.name }

// Failed reports whether any test of the package has failed.
func (s *Suite) Failed() bool { return s.failed }

// Cleanup runs f when the package's tests are over, the newest first.
func (s *Suite) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// Logf writes one line to standard error.
func (s *Suite) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, s.name+": "+format+"\n", args...)
}

// Output is standard error.
func (s *Suite) Output() io.Writer { return os.Stderr }

// Errorf writes one line and marks the suite as failed.
func (s *Suite) Errorf(format string, args ...any) {
	s.failed = true
	s.Logf(format, args...)
}

// Fatalf writes one line, ends every server and the process.
func (s *Suite) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	s.cleanup()
	removeBuilt()
	os.Exit(1)
}

// Skipf ends the process without running a test.
func (s *Suite) Skipf(format string, args ...any) {
	s.Logf(format, args...)
	s.cleanup()
	removeBuilt()
	os.Exit(0)
}

func (s *Suite) cleanup() {
	for len(s.cleanups) > 0 {
		last := len(s.cleanups) - 1
		f := s.cleanups[last]
		s.cleanups = s.cleanups[:last]
		f()
	}
}

// Enabled reports whether tests with real servers were asked for.
func Enabled() bool { return os.Getenv("WSFPM_INTEGRATION") == "1" }

// Integration skips the test unless WSFPM_INTEGRATION=1.
func Integration(t T) {
	t.Helper()
	if !Enabled() {
		t.Skipf("needs real servers: set WSFPM_INTEGRATION=1")
	}
}

// Tool returns the path of the first of the named programs that this machine
// has. A name may be a pattern such as /usr/sbin/php-fpm*. Without any, the
// test fails and names the Debian package to install.
func Tool(t T, debianPackage string, names ...string) string {
	t.Helper()
	Integration(t)
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		found, _ := filepath.Glob(name)
		if len(found) > 0 {
			return found[len(found)-1]
		}
	}
	t.Fatalf("none of %v is installed: apt-get install %s", names, debianPackage)
	return ""
}

// TempDir makes a folder with a short name, because a unix socket's path may
// have 107 bytes only. Every user may enter it. It goes with the test.
func TempDir(t T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wsfpm-")
	if err != nil {
		t.Fatalf("make a temporary folder: %v", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatalf("open the temporary folder to the PHP user: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Patience is how long the tests wait for something that should happen at
// once. It is long because the machines that run tests are slow and shared.
const Patience = 30 * time.Second

// Bound is the longest that something may take. d itself is judged by make soak
// only, which says so by WSFPM_SOAK=1 and has the machine for itself; otherwise
// it is no shorter than Patience, and what never happens still shows.
func Bound(d time.Duration) time.Duration {
	if os.Getenv("WSFPM_SOAK") == "1" {
		return d
	}
	return max(20*d, Patience)
}

// Wait looks at cond every few milliseconds until it holds, and fails the test
// when it does not within Patience.
func Wait(t T, what string, cond func() bool) {
	t.Helper()
	if !Poll(Patience, pollEvery, cond) {
		t.Fatalf("waited %v in vain for %s", Patience, what)
	}
}

// WaitWithin is Wait with its own deadline.
func WaitWithin(t T, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	if !Poll(limit, pollEvery, cond) {
		t.Fatalf("waited %v in vain for %s", limit, what)
	}
}

// pollEvery is the interval of Wait.
const pollEvery = 5 * time.Millisecond

// Poll looks at cond at an interval until it holds, and reports whether it did within the
// limit.
func Poll(limit, every time.Duration, cond func() bool) bool {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); ; <-tick.C {
		if cond() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// Root is the folder of the checkout, where go.mod is.
func Root(t T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("find the working folder: %v", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatalf("no go.mod above the working folder")
			return ""
		}
		dir = parent
	}
}

// built remembers the wsfpm binary that this test process has compiled.
var built struct {
	sync.Mutex
	dir  string // removed by Main
	path string
	err  error
}

func removeBuilt() {
	built.Lock()
	defer built.Unlock()
	if built.dir != "" {
		os.RemoveAll(built.dir)
		built.dir, built.path = "", ""
	}
}

// Binary compiles cmd/wsfpm once per test process, with the race detector when
// the tests have it, and returns its path. WSFPM_BINARY names a ready one.
func Binary(t T) string {
	t.Helper()
	if path := os.Getenv("WSFPM_BINARY"); path != "" {
		return path
	}
	built.Lock()
	defer built.Unlock()
	if built.path == "" && built.err == nil {
		built.dir, built.path, built.err = build(Root(t))
	}
	if built.err != nil {
		t.Fatalf("build cmd/wsfpm: %v", built.err)
	}
	return built.path
}

// WithoutRace makes [Binary] compile a plain wsfpm where WSFPM_BINARY names one
// with the race detector, for a package that measures or moves many bytes.
func WithoutRace() {
	if path := os.Getenv("WSFPM_BINARY"); path != "" && RaceBuilt(path) {
		os.Unsetenv("WSFPM_BINARY")
	}
}

// RaceBuilt reports whether a Go program has the race detector.
func RaceBuilt(path string) bool {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

func build(root string) (dir, path string, err error) {
	dir, err = os.MkdirTemp("", "wsfpm-bin-")
	if err != nil {
		return "", "", err
	}
	path = filepath.Join(dir, "wsfpm")
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/wsfpm")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, "", fmt.Errorf("%w\n%s", err, out)
	}
	return dir, path, nil
}
