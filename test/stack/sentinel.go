package stack

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// SentinelGroup is the name of the group that a Sentinel watches.
const SentinelGroup = "main"

// SentinelOptions says how a Sentinel shall run.
type SentinelOptions struct {
	Quorum   int       // Sentinels that must find the master down, default 1
	TLS      *RedisTLS // nil: without TLS
	Settings []string  // of the group, such as "down-after-milliseconds 1000"
}

// SentinelServer is a running Sentinel.
type SentinelServer struct {
	Addr string // 127.0.0.1:PORT
	proc *process
}

// Sentinel starts a Sentinel that watches a master.
func Sentinel(t T, master string, opt SentinelOptions) *SentinelServer {
	t.Helper()
	Tool(t, "redis-server", "redis-server")
	address, dir, out := FreeAddress(t), TempDir(t), &output{}
	_, port, _ := net.SplitHostPort(address)
	text := fmt.Sprintf("bind 127.0.0.1\ndir %s\nsentinel monitor %s %s %d\n", dir, SentinelGroup, strings.Replace(master, ":", " ", 1), max(opt.Quorum, 1))
	for _, each := range opt.TLS.settings(port) {
		text += each[0] + " " + each[1] + "\n"
	}
	for _, s := range opt.Settings {
		name, value, _ := strings.Cut(s, " ")
		text += fmt.Sprintf("sentinel %s %s %s\n", name, SentinelGroup, value)
	}
	config := filepath.Join(dir, "sentinel.conf")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatalf("write sentinel.conf: %v", err)
	}
	showLog(t, "sentinel", out.String)
	s := &SentinelServer{address, startProcess(t, "sentinel", out, exec.Command("redis-server", config, "--sentinel"))}
	t.Cleanup(s.Kill)
	s.proc.await(t, "tcp", address)
	return s
}

// Kill ends the Sentinel with SIGKILL.
func (s *SentinelServer) Kill() { s.proc.end(syscall.SIGKILL, time.Second) }

// Pause makes the Sentinel deaf without closing a connection (SIGSTOP).
func (s *SentinelServer) Pause() { s.proc.signal(syscall.SIGSTOP) }
