package stack

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"
)

// FPMOptions says how PHP-FPM shall run. The zero value is a static pool of
// four workers on a unix socket with PHP's own configuration files.
type FPMOptions struct {
	Children         int               // workers, default 4
	Mode             string            // pm: static (default), ondemand or dynamic
	TCP              bool              // listen on 127.0.0.1 instead of a unix socket
	NoINI            bool              // php-fpm -n: no php.ini, no extensions of its own (Redis, opcache)
	Ini              map[string]string // php_admin_value, set after the defaults of this package
	PHPINI           map[string]string // as if they stood in php.ini, so that the pool's own go over them
	Pool             map[string]string // further directives of the pool, such as "listen.backlog"
	MaxRequests      int               // pm.max_requests, 0 for ever
	TerminateTimeout time.Duration     // request_terminate_timeout, whole seconds, 0 off
	StatusListen     bool              // pm.status_path = /status on a socket of its own
}

// FPMServer is a running PHP-FPM with one pool.
type FPMServer struct {
	Dir     string // its temporary folder; sessions lie in Dir/sessions
	Socket  string // the unix socket's path, empty with TCP
	Address string // as in wsfpm's configuration: unix:PATH or tcp:HOST:PORT
	Status  string // the status socket's path, when asked for

	opt    FPMOptions
	binary string
	out    *output
	proc   *process
}

// FPM starts PHP-FPM for the test. As root, its workers run as root too, so
// that they can read a checkout anywhere.
func FPM(t T, opt FPMOptions) *FPMServer {
	t.Helper()
	s := &FPMServer{
		opt:    opt,
		binary: Tool(t, "php-fpm", "php-fpm", "php-fpm8.*", "/usr/sbin/php-fpm*", "/usr/local/sbin/php-fpm*"),
		Dir:    TempDir(t),
		out:    &output{},
	}
	if err := os.Mkdir(filepath.Join(s.Dir, "sessions"), 0o700); err != nil {
		t.Fatalf("make the session folder: %v", err)
	}
	s.Socket = filepath.Join(s.Dir, "fpm.sock")
	s.Address = "unix:" + s.Socket
	if opt.TCP {
		s.Socket, s.Address = "", "tcp:"+FreeAddress(t)
	}
	if opt.StatusListen {
		s.Status = filepath.Join(s.Dir, "status.sock")
	}
	if err := os.WriteFile(s.config(), []byte(s.render()), 0o644); err != nil {
		t.Fatalf("write the pool's configuration: %v", err)
	}
	showLog(t, "php-fpm", s.Log)
	t.Cleanup(s.Stop)
	s.Start(t)
	return s
}

func (s *FPMServer) config() string { return filepath.Join(s.Dir, "fpm.conf") }

// ConfigFile is the path of the generated FPM configuration.
func (s *FPMServer) ConfigFile() string { return s.config() }

func (s *FPMServer) logFile() string { return filepath.Join(s.Dir, "fpm.log") }

func (s *FPMServer) render() string {
	_, listen, _ := strings.Cut(s.Address, ":")
	pool := map[string]string{
		"listen":                       listen,
		"pm":                           "static",
		"pm.max_children":              "4",
		"pm.max_requests":              fmt.Sprint(s.opt.MaxRequests),
		"request_terminate_timeout":    fmt.Sprintf("%ds", int(s.opt.TerminateTimeout.Seconds())),
		"catch_workers_output":         "yes",
		"php_flag[log_errors]":         "on",
		"php_flag[display_errors]":     "off",
		"php_value[session.save_path]": filepath.Join(s.Dir, "sessions"),
	}
	if s.opt.Mode != "" {
		pool["pm"] = s.opt.Mode
	}
	if s.opt.Children > 0 {
		pool["pm.max_children"] = fmt.Sprint(s.opt.Children)
	}
	if pool["pm"] == "dynamic" {
		pool["pm.start_servers"], pool["pm.min_spare_servers"], pool["pm.max_spare_servers"] = "1", "1", "1"
	}
	if s.Status != "" {
		pool["pm.status_path"], pool["pm.status_listen"] = "/status", s.Status
	}
	if os.Geteuid() == 0 {
		pool["user"], pool["group"] = "root", "root"
	}
	for key, value := range s.opt.Pool {
		pool[key] = value
	}
	for key, value := range s.opt.Ini {
		delete(pool, "php_flag["+key+"]")
		delete(pool, "php_value["+key+"]")
		pool["php_admin_value["+key+"]"] = value
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[global]\nerror_log = %s\ndaemonize = no\n\n[www]\n", s.logFile())
	keys := make([]string, 0, len(pool))
	for key := range pool {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		fmt.Fprintf(&b, "%s = %s\n", key, pool[key])
	}
	return b.String()
}

// Start runs PHP-FPM again after Stop, on the same address.
func (s *FPMServer) Start(t T) {
	t.Helper()
	args := []string{"--nodaemonize", "--fpm-config", s.config()}
	if s.opt.NoINI {
		args = append(args, "--no-php-ini")
	}
	for key, value := range s.opt.PHPINI {
		args = append(args, "--define", key+"="+value)
	}
	if os.Geteuid() == 0 {
		args = append(args, "--allow-to-run-as-root")
	}
	s.proc = startProcess(t, "php-fpm", s.out, exec.Command(s.binary, args...))
	network, address, _ := strings.Cut(s.Address, ":")
	s.proc.await(t, network, address)
}

// Stop ends the master and its workers at once.
func (s *FPMServer) Stop() {
	if s.proc == nil {
		return
	}
	if s.proc.running() {
		s.proc.end(syscall.SIGTERM, 3*time.Second)
		// Workers that a killed master left are still of its group, and
		// hold its number: no other process can have it.
		syscall.Kill(-s.proc.pid(), syscall.SIGKILL)
	}
	if s.Socket != "" {
		os.Remove(s.Socket)
	}
}

// Restart is Stop and Start.
func (s *FPMServer) Restart(t T) {
	t.Helper()
	s.Stop()
	s.Start(t)
}

// Reload asks for a graceful reload (SIGUSR2) and waits until every worker
// that was there before has been replaced.
func (s *FPMServer) Reload(t T) {
	t.Helper()
	before := s.Workers()
	s.proc.signal(syscall.SIGUSR2)
	Wait(t, "php-fpm to replace its workers", func() bool {
		for _, pid := range before {
			if syscall.Kill(pid, 0) == nil {
				return false
			}
		}
		network, address, _ := strings.Cut(s.Address, ":")
		return accepts(network, address)
	})
}

// Workers lists the process ids of the workers.
func (s *FPMServer) Workers() []int {
	if s.proc == nil || !s.proc.running() {
		return nil
	}
	return children(s.proc.pid())
}

// KillWorker ends one worker with SIGKILL, as the kernel does when memory is out.
func (s *FPMServer) KillWorker(t T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill worker %d: %v", pid, err)
	}
}

// PauseWorkers stops every worker (SIGSTOP) until the returned function is
// called; it is called at the end of the test in any case.
func (s *FPMServer) PauseWorkers(t T) (resume func()) {
	t.Helper()
	workers := s.Workers()
	for _, pid := range workers {
		syscall.Kill(pid, syscall.SIGSTOP)
	}
	resume = func() {
		for _, pid := range workers {
			syscall.Kill(pid, syscall.SIGCONT)
		}
	}
	t.Cleanup(resume)
	return resume
}

// KillMaster ends the master with SIGKILL. Its workers go on, and so does the
// socket, until the returned function ends both; then Start may follow.
func (s *FPMServer) KillMaster() (endWorkers func()) {
	workers := s.Workers()
	s.proc.signal(syscall.SIGKILL)
	return func() {
		for _, pid := range workers {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		<-s.proc.done
		if s.Socket != "" {
			os.Remove(s.Socket)
		}
	}
}

// Log is what PHP-FPM has logged: its own file and its standard error.
func (s *FPMServer) Log() string {
	text, _ := os.ReadFile(s.logFile())
	return string(text) + s.out.String()
}

var _ T = testing.TB(nil)
