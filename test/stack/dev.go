package stack

import (
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// DevServer is a running `wsfpm dev`.
type DevServer struct {
	Address string // HOST:PORT that it has printed
	out     *output
	proc    *process
}

// devAddress is the line with the address of the page.
var devAddress = regexp.MustCompile(`(?m)^The page: +http://([^/]+)/`)

// Dev runs `wsfpm dev` with these arguments in a folder, and waits for the address that it
// prints last.
func Dev(t T, folder string, env []string, args ...string) *DevServer {
	t.Helper()
	s := StartDev(t, folder, env, args...)
	Wait(t, "wsfpm dev to print its address", func() bool {
		return !s.Running() || strings.Contains(s.Output(), "Ctrl-C")
	})
	m := devAddress.FindStringSubmatch(s.Output())
	if m == nil || !s.Running() {
		t.Fatalf("wsfpm dev has ended:\n%s", s.Output())
	}
	s.Address = m[1]
	return s
}

// StartDev is Dev without a wait.
func StartDev(t T, folder string, env []string, args ...string) *DevServer {
	t.Helper()
	Tool(t, "php-fpm", "php-fpm", "php-fpm8.*", "/usr/sbin/php-fpm*", "/usr/local/sbin/php-fpm*")
	s := &DevServer{out: &output{}}
	cmd := exec.Command(Binary(t), append([]string{"dev"}, args...)...)
	cmd.Dir, cmd.Env = folder, append(environ(), env...)
	showLog(t, "wsfpm dev", s.Output)
	s.proc = startProcess(t, "wsfpm dev", s.out, cmd)
	t.Cleanup(func() { s.proc.end(syscall.SIGTERM, 10*time.Second) })
	return s
}

// Output is what it has printed.
func (s *DevServer) Output() string { return s.out.String() }

// Running reports whether it has not ended.
func (s *DevServer) Running() bool { return s.proc.running() }

// Signal sends a signal and does not wait.
func (s *DevServer) Signal(sig syscall.Signal) { s.proc.signal(sig) }

// Exit waits for the end and returns the exit code, -1 after a signal's death.
func (s *DevServer) Exit(t T) int {
	t.Helper()
	Wait(t, "wsfpm dev to end", func() bool { return !s.Running() })
	return s.proc.cmd.ProcessState.ExitCode()
}

// Children lists the process ids below it: PHP-FPM and its workers.
func (s *DevServer) Children() (all []int) {
	for _, master := range children(s.proc.pid()) {
		all = append(append(all, master), children(master)...)
	}
	return all
}
