package stack

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// AdminToken is what every generated configuration has as admin_token.
const AdminToken = "test-token"

// GatewayOptions is the text of a wsfpm.toml in pieces. Empty pieces are left
// out or filled with what a test needs; File replaces all of them.
type GatewayOptions struct {
	Node         string // default "test"
	Listen       string // default a free loopback port
	AdminAddress string // HOST:PORT of admin, default a free loopback port
	Drain        string // default "1s"
	Top          string // further lines above the first table

	FPM       *FPMServer // [fpm.default] address
	FPMLines  string     // further lines of [fpm.default]
	Redis     string     // [redis] url
	RedisTOML string     // further lines of [redis]
	Limits    string     // lines of [limits]
	Routes    string     // whole [[route]] tables, and any other table
	LogLevel  string     // default "debug"

	File     string   // a complete configuration, instead of the above
	Binary   string   // the program, instead of this version's
	Env      []string // further environment, KEY=value
	Args     []string // further arguments of wsfpm serve
	Stderr   *os.File // where the log goes, instead of to LogText
	Files    int      // file descriptors at most; 0 as many as this process
	NotReady bool     // do not wait for /ready: Redis is down, for example
}

// GatewayServer is a running wsfpm.
type GatewayServer struct {
	Listen string // the value of listen
	URL    string // ws://HOST:PORT, or of a unix listener ws://unix
	Admin  string // http://HOST:PORT
	Config string // path of the configuration file

	opt    GatewayOptions
	binary string
	out    *output
	proc   *process
}

// Gateway runs the real binary for the test.
func Gateway(t T, opt GatewayOptions) *GatewayServer {
	t.Helper()
	Integration(t)
	g := &GatewayServer{opt: opt, binary: opt.Binary, out: &output{}}
	if g.binary == "" {
		g.binary = Binary(t)
	}
	g.Listen = opt.Listen
	if g.Listen == "" {
		g.Listen = FreeAddress(t)
	}
	g.URL = "ws://" + g.Listen
	if strings.HasPrefix(g.Listen, "unix:") {
		g.URL = "ws://unix"
	}
	admin := opt.AdminAddress
	if admin == "" {
		admin = FreeAddress(t)
	}
	g.Admin = "http://" + admin
	g.Config = filepath.Join(TempDir(t), "wsfpm.toml")
	text := opt.File
	if text == "" {
		text = g.render(admin)
	}
	g.WriteConfig(t, text)
	showLog(t, "wsfpm", g.out.String)
	t.Cleanup(func() { g.over(t) })
	g.Start(t)
	return g
}

// render writes the configuration. What a test does not set is patient: beside others on a
// few cores Redis may need more than a second for an answer, and a worker more than ten.
func (g *GatewayServer) render(admin string) string {
	var b strings.Builder
	patient := func(lines, key, value string) string {
		if strings.Contains(lines, key) {
			return lines
		}
		return fmt.Sprintf("%s = %q\n%s", key, value, lines)
	}
	fmt.Fprintf(&b, "node = %q\nlisten = %q\nadmin = %q\nadmin_token = %q\ndrain = %q\n%s\n",
		or(g.opt.Node, "test"), g.Listen, admin, AdminToken, or(g.opt.Drain, "1s"), g.opt.Top)
	if g.opt.FPM != nil {
		fmt.Fprintf(&b, "\n[fpm.default]\naddress = %q\n%s\n", g.opt.FPM.Address, patient(g.opt.FPMLines, "queue_wait", "1m"))
	}
	fmt.Fprintf(&b, "\n[redis]\nurl = %q\n%s\n", g.opt.Redis, patient(g.opt.RedisTOML, "confirm", "10s"))
	fmt.Fprintf(&b, "\n[limits]\n%s\n\n[log]\nlevel = %q\nformat = \"json\"\n\n%s\n", g.opt.Limits, or(g.opt.LogLevel, "debug"), g.opt.Routes)
	return b.String()
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// WriteConfig replaces the configuration file; Reload or Restart make it count.
func (g *GatewayServer) WriteConfig(t T, text string) {
	t.Helper()
	if err := os.WriteFile(g.Config, []byte(text), 0o644); err != nil {
		t.Fatalf("write wsfpm.toml: %v", err)
	}
}

// Edit replaces parts of the configuration file, each of which it must have exactly once: old,
// new, old, new. A number alone may also be part of a random folder's name.
func (g *GatewayServer) Edit(t T, oldnew ...string) {
	t.Helper()
	text := g.ConfigText(t)
	for i := 0; i < len(oldnew); i += 2 {
		if n := strings.Count(text, oldnew[i]); n != 1 {
			t.Fatalf("wsfpm.toml has %q %d times, want once", oldnew[i], n)
		}
		text = strings.Replace(text, oldnew[i], oldnew[i+1], 1)
	}
	g.WriteConfig(t, text)
}

// ConfigText is the configuration file as it is now.
func (g *GatewayServer) ConfigText(t T) string {
	t.Helper()
	text, err := os.ReadFile(g.Config)
	if err != nil {
		t.Fatalf("read wsfpm.toml: %v", err)
	}
	return string(text)
}

// Start runs wsfpm again after Stop or Kill, on the same addresses.
func (g *GatewayServer) Start(t T) {
	t.Helper()
	cmd := exec.Command(g.binary, append([]string{"serve", "--config", g.Config}, g.opt.Args...)...)
	if g.opt.Files > 0 {
		cmd = exec.Command("/bin/sh", append([]string{"-c", `ulimit -n "$0" && exec "$@"`, fmt.Sprint(g.opt.Files)}, cmd.Args...)...)
	}
	cmd.Env = append(environ(), g.opt.Env...)
	if g.opt.Stderr != nil {
		cmd.Stderr = g.opt.Stderr
	}
	g.proc = startProcess(t, "wsfpm", g.out, cmd)
	network, address := "tcp", g.Listen
	if path, ok := strings.CutPrefix(g.Listen, "unix:"); ok {
		network, address = "unix", path
	}
	g.proc.await(t, network, address)
	if !g.opt.NotReady {
		Wait(t, "/ready", func() bool { return !g.proc.running() || g.status("/ready") == http.StatusOK })
	}
}

// environ is this process's environment without what is meant for tests only.
func environ() []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "WSFPM_") {
			env = append(env, entry)
		}
	}
	return env
}

// over ends the gateway with its test, and fails the test for a data race or a
// panic that only the gateway's own log shows.
func (g *GatewayServer) over(t T) {
	t.Helper()
	g.noPanics(t)
	g.proc.end(syscall.SIGTERM, 5*time.Second)
	for _, bad := range []string{"WARNING: DATA RACE", "panic: ", "survived a panic", "fatal error: "} {
		if strings.Contains(g.out.String(), bad) {
			t.Errorf("wsfpm wrote %q", bad)
		}
	}
}

// noPanics fails the test when the gateway has counted a panic that it survived.
// One that has ended, or has no admin listener, is left to its log.
func (g *GatewayServer) noPanics(t T) {
	t.Helper()
	if !g.proc.running() {
		return
	}
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get(g.Admin + "/metrics")
	if err != nil {
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return
	}
	if n := sum(string(text), "wsfpm_panics_total"); n != 0 {
		t.Errorf("wsfpm survived %v panics", n)
	}
}

// PID is the process id.
func (g *GatewayServer) PID() int { return g.proc.pid() }

// Terminate sends SIGTERM and does not wait.
func (g *GatewayServer) Terminate() { g.proc.signal(syscall.SIGTERM) }

// Running reports whether the process has not ended.
func (g *GatewayServer) Running() bool { return g.proc.running() }

// Stop sends SIGTERM, waits for the end and returns the exit code.
func (g *GatewayServer) Stop(t T) int {
	t.Helper()
	g.noPanics(t)
	g.Terminate()
	return g.Exit(t)
}

// Exit waits for the end and returns the exit code.
func (g *GatewayServer) Exit(t T) int {
	t.Helper()
	select {
	case <-g.proc.done:
	case <-time.After(3 * Patience):
		t.Fatalf("wsfpm did not end within %v", 3*Patience)
	}
	return g.proc.cmd.ProcessState.ExitCode()
}

// Kill ends the process with SIGKILL.
func (g *GatewayServer) Kill() { g.proc.end(syscall.SIGKILL, time.Second) }

// Pause stops the process without ending it (SIGSTOP).
func (g *GatewayServer) Pause() { g.proc.signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (g *GatewayServer) Resume() { g.proc.signal(syscall.SIGCONT) }

// Restart is Stop and Start.
func (g *GatewayServer) Restart(t T) {
	t.Helper()
	g.Stop(t)
	g.Start(t)
}

// Reload sends SIGHUP; wait for what it changes, or for its log line.
func (g *GatewayServer) Reload() { g.proc.signal(syscall.SIGHUP) }

// Reloaded sends SIGHUP and waits until the configuration is in force.
func (g *GatewayServer) Reloaded(t T) {
	t.Helper()
	lines := func() int { return len(g.LogLines("info", "reloaded configuration")) }
	before := lines()
	g.Reload()
	Wait(t, "the reload", func() bool { return lines() > before })
}

// AdminDo sends one request to the admin listener, with the token unless the
// headers have an Authorization, and returns the status and the body.
func (g *GatewayServer) AdminDo(t T, method, path, body string, header http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, g.Admin+path, strings.NewReader(body))
	if err != nil {
		t.Fatalf("make a request: %v", err)
	}
	for key, values := range header {
		req.Header[key] = values
	}
	if _, ok := header["Authorization"]; !ok {
		req.Header.Set("Authorization", "Bearer "+AdminToken)
	}
	client := http.Client{Timeout: Patience}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, string(text)
}

// Push sends one JSON command to /push and returns the answer.
func (g *GatewayServer) Push(t T, command string) (int, string) {
	t.Helper()
	return g.AdminDo(t, "POST", "/push", command, http.Header{"Content-Type": {"application/json"}})
}

// Ready reports whether /ready is green.
func (g *GatewayServer) Ready() bool { return g.status("/ready") == http.StatusOK }

func (g *GatewayServer) status(path string) int {
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get(g.Admin + path)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// Metric is the sum of one metric over its labels, NaN-free: 0 when absent.
// Only series whose label text contains every one of labels count.
func (g *GatewayServer) Metric(t T, name string, labels ...string) float64 {
	t.Helper()
	_, text := g.AdminDo(t, "GET", "/metrics", "", nil)
	return sum(text, name, labels...)
}

// sum adds the series of one metric in the text of /metrics.
func sum(text, name string, labels ...string) float64 {
	total := 0.0
	for line := range strings.Lines(text) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		key, _, _ := strings.Cut(series, "{")
		if key != name {
			continue
		}
		matches := true
		for _, label := range labels {
			matches = matches && strings.Contains(series, label)
		}
		var v float64
		if _, err := fmt.Sscan(value, &v); err == nil && matches {
			total += v
		}
	}
	return total
}

// Command runs wsfpm with the given arguments and returns what it printed and
// its exit code.
func Command(t T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(Binary(t), args...)
	cmd.Env = environ()
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatalf("run wsfpm %v: %v", args, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
