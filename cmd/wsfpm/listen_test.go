package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"wsfpm/gateway/config"
)

// listen opens a unix socket that is closed with the test.
func listen(t *testing.T, file string, cfg *config.Config, log *zap.Logger) net.Listener {
	t.Helper()
	l, err := listenUnix(t.Context(), file, cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestSocketHasItsModeAndGroup(t *testing.T) {
	cfg := config.Default()
	cfg.ListenMode, cfg.ListenGroup = 0o606, strconv.Itoa(os.Getgid())
	file := filepath.Join(t.TempDir(), "ws.sock")
	l := listen(t, file, cfg, zap.NewNop())
	info, err := os.Lstat(file)
	if err != nil || info.Mode() != os.ModeSocket|0o606 {
		t.Errorf("got %v, %v, want a socket with mode 0606", info.Mode(), err)
	}
	if got := l.Addr().String(); got != file {
		t.Errorf("got address %s, want %s", got, file)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); len(left) > 0 {
		t.Errorf("%v were not removed", left)
	}
	cfg.ListenGroup = "no-such-group-here"
	if _, err := listenUnix(t.Context(), file+"2", cfg, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "listen_group") {
		t.Errorf("got %v, want an error about the group", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 1 {
		t.Errorf("%v were not removed", left)
	}
}

func TestSocketIsUnlinkedOnClose(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ws.sock")
	if err := listen(t, file, config.Default(), zap.NewNop()).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(file); !os.IsNotExist(err) {
		t.Errorf("got %v, want the socket to be gone", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ws.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: file, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	core, logs := observer.New(zap.WarnLevel)
	listen(t, file, config.Default(), zap.New(core))
	if logs.Len() != 0 {
		t.Errorf("got %v, want no warning about an unused socket", logs.All())
	}
	conn, err := net.Dial("unix", file)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

func TestSuccessorsSocketIsNotUnlinked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ws.sock")
	old := listen(t, file, config.Default(), zap.NewNop())
	core, logs := observer.New(zap.WarnLevel)
	listen(t, file, config.Default(), zap.New(core))
	if logs.FilterMessage("socket of a running process was replaced").Len() != 1 {
		t.Errorf("got %v, want one warning", logs.All())
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", file)
	if err != nil {
		t.Fatalf("the successor cannot be reached: %v", err)
	}
	_ = conn.Close()
}

func TestFileThatIsNoSocketStays(t *testing.T) {
	file := write(t, "data", "precious")
	if _, err := listenUnix(t.Context(), file, config.Default(), zap.NewNop()); err == nil {
		t.Error("got no error")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("got %q, %v", text, err)
	}
}

func TestAllListenersOrNone(t *testing.T) {
	dir := t.TempDir()
	cfg := config.Default()
	cfg.Listen = []string{"unix:" + filepath.Join(dir, "a.sock"), "127.0.0.1:0", "unix:" + filepath.Join(dir, "none", "b.sock")}
	if _, err := openListeners(t.Context(), cfg, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "b.sock") {
		t.Errorf("got %v, want an error that names b.sock", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v were not removed", left)
	}
	cfg.Listen = cfg.Listen[:2]
	open, err := openListeners(t.Context(), cfg, zap.NewNop())
	if err != nil || len(open) != 2 {
		t.Fatalf("got %v, %v", open, err)
	}
	closeListeners(open)
}

// After a failed start of a second process the first keeps its socket.
func TestAProcessThatCannotStartLeavesTheSocket(t *testing.T) {
	first := run(t, "[[route]]\npath = \"/ws\"\nscript = \"/srv/ws.php\"\n")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg, err := config.Load(config.Source{File: first.file, Flags: map[string]string{"listen": "unix:" + first.sock, "admin": taken.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	second := &server{log: zap.NewNop(), level: zap.NewAtomicLevel(), failed: make(chan error, 1)}
	if err := second.start(cfg); err == nil {
		t.Fatal("it started, on an admin address that is taken")
	}
	conn, err := net.Dial("unix", first.sock)
	if err != nil {
		t.Fatalf("the first cannot be reached any more: %v", err)
	}
	conn.Close()
}

// The first process keeps its connections but gets no new ones.
func TestAProcessWhoseSocketWasTakenIsNotReady(t *testing.T) {
	first := run(t, plain)
	ready := func(want int, why string) {
		t.Helper()
		if status, text := first.operate("/ready"); status != want || !strings.Contains(text, why) {
			t.Errorf("/ready: got %d %s, want %d and %q", status, text, want, why)
		}
		gauge := fmt.Sprintf("\nwsfpm_ready %d\n", map[bool]int{true: 1}[want == http.StatusOK])
		if _, text := first.operate("/metrics"); !strings.Contains(text, gauge) {
			t.Errorf("/metrics: want %q", gauge)
		}
	}
	ready(http.StatusOK, "ready")

	cfg, err := config.Load(config.Source{File: first.file, Flags: map[string]string{"listen": "unix:" + first.sock}})
	if err != nil {
		t.Fatal(err)
	}
	second := &server{log: zap.NewNop(), level: zap.NewAtomicLevel(), failed: make(chan error, 1)}
	if err := second.start(cfg); err != nil {
		t.Fatal(err)
	}
	ready(http.StatusServiceUnavailable, "unix:"+first.sock+" is no longer this process's socket")
	if err := second.end(); err != nil {
		t.Fatal(err)
	}
	ready(http.StatusServiceUnavailable, "unix:"+first.sock+" is gone")
}
