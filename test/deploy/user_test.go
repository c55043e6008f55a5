package deploy

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"wsfpm/test/stack"
)

// unprivileged runs wsfpm as the service does: another user, no capability, no
// way to gain one, and in the given groups only.
func unprivileged(t *testing.T, groups string, args ...string) *exec.Cmd {
	t.Helper()
	setpriv := stack.Tool(t, "util-linux", "setpriv")
	drop := []string{"--reuid=65534", "--regid=65534", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"}
	if groups == "" {
		drop = append(drop, "--clear-groups")
	} else {
		drop = append(drop, "--groups="+groups)
	}
	program, err := os.ReadFile(stack.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(stack.TempDir(t), "wsfpm") // where other users may enter
	if err := os.WriteFile(binary, program, 0o755); err != nil {
		t.Fatal(err)
	}
	return exec.Command(setpriv, append(append(drop, binary), args...)...)
}

// webGroup is the group of nginx and of PHP-FPM's socket. Only root can become
// another user: to others it says so, and the test has nothing to do.
func webGroup(t *testing.T) (gid int, root bool) {
	t.Helper()
	stack.Integration(t)
	if os.Geteuid() != 0 {
		t.Log("only root can become another user: nothing was tested")
		return 0, false
	}
	group, err := user.LookupGroup(unit(t, "wsfpm.service", "SupplementaryGroups")[0])
	if err != nil {
		t.Fatal(err)
	}
	if gid, err = strconv.Atoi(group.Gid); err != nil {
		t.Fatal(err)
	}
	return gid, true
}

func TestServicesGroupsOpenThePool(t *testing.T) {
	gid, root := webGroup(t)
	if !root {
		return
	}
	socket := filepath.Join(stack.TempDir(t), "fpm.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chown(socket, 0, gid); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(socket, 0o660); err != nil {
		t.Fatal(err)
	}
	check := []string{"check", "--dial", "--script", "/srv/ws.php", "--fpm", "unix:" + socket}
	if out, err := run(t, unprivileged(t, strconv.Itoa(gid), check...)); err != nil {
		t.Errorf("with the group: %v\n%s", err, out)
	}
	if out, err := run(t, unprivileged(t, "", check...)); err == nil || !strings.Contains(out, "permission denied") {
		t.Errorf("without the group: got %v, want permission denied\n%s", err, out)
	}
}

func TestServiceGivesItsSocketToNginx(t *testing.T) {
	gid, root := webGroup(t)
	if !root {
		return
	}
	dir := stack.TempDir(t)
	if err := os.Chown(dir, 65534, 65534); err != nil { // RuntimeDirectory
		t.Fatal(err)
	}
	cfg := example(t)
	socket := filepath.Join(dir, "ws.sock")
	cmd := unprivileged(t, strconv.Itoa(gid), "serve", "--script", "/srv/ws.php", "--listen", "unix:"+socket,
		"--set", "drain=0s", "--set", "listen_group="+cfg.ListenGroup)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, unless the test failed
	stack.Wait(t, "the socket", func() bool {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	if info.Mode().Perm() != 0o660 || owner.Uid != 65534 || int(owner.Gid) != gid {
		t.Errorf("the socket is %v of %d:%d, want 0660 of 65534:%d", info.Mode(), owner.Uid, owner.Gid, gid)
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/status")
	if err != nil || !strings.Contains(string(status), "CapEff:\t0000000000000000") || !strings.Contains(string(status), "CapBnd:\t0000000000000000") {
		t.Errorf("the process has a capability: %v\n%s", err, status)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log.String())
	}
}
