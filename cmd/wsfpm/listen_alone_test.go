package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"

	"wsfpm/gateway/config"
)

func TestASecondProcessIsRefusedTheSocketsOfOperators(t *testing.T) {
	t.Log("contract-row: 5.control-taken")
	first := run(t, plain)
	admin := filepath.Join(filepath.Dir(first.sock), "admin.sock")
	for _, key := range []string{"admin", "control"} {
		cfg, err := config.Load(config.Source{File: first.file, Flags: map[string]string{"listen": "unix:" + first.sock, key: "unix:" + admin}})
		if err != nil {
			t.Fatal(err)
		}
		second := &server{log: zap.NewNop(), level: zap.NewAtomicLevel(), failed: make(chan error, 1)}
		if err := second.start(cfg); err == nil || !strings.Contains(err.Error(), key+": listen on unix:"+admin+": another process listens there") {
			t.Fatalf("got %v, want that another process listens there", err)
		}
	}
	if status, text := first.operate("/ready"); status != http.StatusOK {
		t.Errorf("the first process: got %d %s", status, text)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(admin), ".*")); len(left) > 0 {
		t.Errorf("%v were not removed", left)
	}
}

// Where a dead process has left its socket, one that starts replaces it, and no other meanwhile.
func TestAStaleSocketOfOperatorsIsReplacedByOneProcess(t *testing.T) {
	t.Log("contract-row: 5.control-taken")
	file := filepath.Join(t.TempDir(), "control.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: file, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	unlock, err := lockFile(filepath.Join(filepath.Dir(file), ".control.sock.lock"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenAlone(t.Context(), file, config.Default(), zap.NewNop()); err == nil || !strings.Contains(err.Error(), "another process starts there") {
		t.Fatalf("got %v, want that another process starts there", err)
	}
	unlock()
	l, err := listenAlone(t.Context(), file, config.Default(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := listenAlone(t.Context(), file, config.Default(), zap.NewNop()); err == nil || !strings.Contains(err.Error(), "another process listens there") {
		t.Fatalf("got %v, want that another process listens there", err)
	}
}

// Also while the file is made and removed all the time, the lock has one owner.
func TestALockHasOneOwner(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	var owners, turns atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for turns.Load() < 500 {
				unlock, err := lockFile(name)
				if err != nil {
					continue
				}
				if owners.Add(1) != 1 {
					t.Error("two own the lock")
				}
				turns.Add(1)
				owners.Add(-1)
				unlock()
			}
		})
	}
	all.Wait()
}

// What stands at the path of the lock is neither followed nor removed.
func TestALockThatIsALinkStays(t *testing.T) {
	dir := t.TempDir()
	precious := write(t, "data", "precious")
	if err := os.Symlink(precious, filepath.Join(dir, ".control.sock.lock")); err != nil {
		t.Fatal(err)
	}
	if _, err := listenAlone(t.Context(), filepath.Join(dir, "control.sock"), config.Default(), zap.NewNop()); err == nil {
		t.Error("got no error")
	}
	if text, err := os.ReadFile(precious); err != nil || string(text) != "precious" {
		t.Errorf("got %q, %v", text, err)
	}
}
