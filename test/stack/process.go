package stack

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one child process and what it has written. It is safe for
// concurrent use.
type process struct {
	name string
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when the process has been reaped
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex // guards text
	text []byte
}

// Write keeps p.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	return len(p), nil
}

// String is everything written until now.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// startProcess runs cmd, collecting its output in out. The process is told to
// end when the test process dies, so that nothing outlives a panic.
func startProcess(t T, name string, out *output, cmd *exec.Cmd) *process {
	t.Helper()
	if cmd.Stdout = out; cmd.Stderr == nil {
		cmd.Stderr = out
	}
	cmd.WaitDelay = 2 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	p := &process{name: name, cmd: cmd, out: out, done: make(chan struct{})}
	go func() {
		cmd.Wait() // the exit code stays in cmd.ProcessState
		close(p.done)
	}()
	return p
}

// pid is the process id, also after the end.
func (p *process) pid() int { return p.cmd.Process.Pid }

// running reports whether the process has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends sig; a process that has ended is left alone.
func (p *process) signal(sig syscall.Signal) {
	if p.running() {
		p.cmd.Process.Signal(sig)
	}
}

// end sends sig, waits up to limit, and then kills. It returns the exit code,
// -1 after a signal's death.
func (p *process) end(sig syscall.Signal, limit time.Duration) int {
	p.signal(sig)
	select {
	case <-p.done:
	case <-time.After(limit):
		p.cmd.Process.Kill()
		<-p.done
	}
	return p.cmd.ProcessState.ExitCode()
}

// children lists the process ids whose parent is pid.
func children(pid int) []int {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	var pids []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // ended meanwhile
		}
		// The name in brackets may hold anything; the parent is the second field after it.
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[0] == "Z" || fields[1] != strconv.Itoa(pid) {
			continue
		}
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		pids = append(pids, child)
	}
	return pids
}

// accepts reports whether a program listens there.
func accepts(network, address string) bool {
	c, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// await waits until p listens, and fails the test with its output when it ends instead.
func (p *process) await(t T, network, address string) {
	t.Helper()
	ok := Poll(Patience, pollEvery, func() bool { return !p.running() || accepts(network, address) })
	if !ok || !p.running() {
		t.Fatalf("%s does not listen on %s:\n%s", p.name, address, p.out)
	}
}

// showLog prints a server's log when its test has failed.
func showLog(t T, name string, log func() string) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, log())
		}
	})
}
