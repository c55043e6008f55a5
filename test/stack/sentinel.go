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

// Sentinel starts a Sentinel that watches a master, and returns its address. Settings are those
// of the group, such as "down-after-milliseconds 1000".
func Sentinel(t T, master string, settings ...string) string {
	t.Helper()
	Tool(t, "redis-server", "redis-server")
	address, dir, out := FreeAddress(t), TempDir(t), &output{}
	_, port, _ := net.SplitHostPort(address)
	text := fmt.Sprintf("bind 127.0.0.1\nport %s\ndir %s\nsentinel monitor %s %s 1\n", port, dir, SentinelGroup, strings.Replace(master, ":", " ", 1))
	for _, s := range settings {
		name, value, _ := strings.Cut(s, " ")
		text += fmt.Sprintf("sentinel %s %s %s\n", name, SentinelGroup, value)
	}
	config := filepath.Join(dir, "sentinel.conf")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatalf("write sentinel.conf: %v", err)
	}
	showLog(t, "sentinel", out.String)
	p := startProcess(t, "sentinel", out, exec.Command("redis-server", config, "--sentinel"))
	t.Cleanup(func() { p.end(syscall.SIGKILL, time.Second) })
	p.await(t, "tcp", address)
	return address
}
