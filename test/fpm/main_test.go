// Package fpm tests wsfpm with a PHP-FPM that is busy, slow, broken, killed,
// restarted or gone: what clients see, what scripts run, and what comes after.
package fpm

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

func TestMain(m *testing.M) {
	os.Exit(stack.Main(m, "fpm", func(*stack.Suite) {}))
}

// sorry is the only answer to an event that failed; see setup.
const sorry = "sorry"

// setup is what one test wants of its gateway. The zero value is a gateway
// that knows nothing of its pool but the address, whose route /ws runs
// testdata/ws.php and answers every failed event with sorry.
type setup struct {
	fpm     *stack.FPMServer
	pool    string            // lines of [fpm.default]
	route   string            // further lines of the route /ws
	limits  string            // lines of [limits], instead of no limit of messages
	scripts map[string]string // further PHP files, each on a route /NAME.php
}

// own are the lines of a pool of n workers that serves wsfpm alone.
func own(n int) string {
	return fmt.Sprintf("max_connections = %d\nmax_idle = %d\nqueue_wait = \"20s\"\n", n, n)
}

// world is one test's gateway and what its scripts write.
type world struct {
	*stack.GatewayServer
	t      *testing.T
	dir    string // of the scripts
	ledger ledger
}

// start runs a gateway. The rows are those of the contract that the test holds.
func start(t *testing.T, s setup, rows ...string) *world {
	t.Helper()
	stack.Integration(t)
	contract.Row(t, rows...)
	source, err := os.ReadFile(filepath.Join("testdata", "ws.php"))
	if err != nil {
		t.Fatal(err)
	}
	scripts := map[string]string{"ws.php": string(source)}
	routes := ""
	for name, text := range s.scripts {
		scripts[name] = text
		routes += route("/"+name, "$DIR/"+name, s.route)
	}
	dir := stack.Scripts(t, scripts)
	if s.limits == "" {
		s.limits = "messages_per_second = 0"
	}
	routes += route("/ws", "$DIR/ws.php", s.route)
	w := &world{t: t, dir: dir, ledger: ledger{t: t, file: filepath.Join(dir, "ledger")}}
	w.GatewayServer = stack.Gateway(t, stack.GatewayOptions{
		FPM: s.fpm, FPMLines: s.pool, Limits: s.limits, Routes: os.Expand(routes, func(string) string { return dir }),
	})
	return w
}

func route(path, script, lines string) string {
	return fmt.Sprintf("[[route]]\npath = %q\nscript = %q\non_error = \"message\"\nerror_message = %q\n%s\n", path, script, sorry, lines)
}

// open lets every script pass that waits, or will wait, at the gate.
func (w *world) open(gate string) {
	w.t.Helper()
	w.write("gate-"+gate, "")
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// read is what a script has written into a file, "" before.
func (w *world) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(w.dir, name))
	return string(text)
}

// inUse is the number of workers executing a request.
func (w *world) inUse() int { return int(w.Metric(w.t, "wsfpm_fpm_in_use")) }

// waiting is how many events wait for a worker.
func (w *world) waiting() int { return int(w.Metric(w.t, "wsfpm_fpm_waiting")) }

// equal fails the test when got is not want.
func equal[V comparable](t *testing.T, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
