package stack

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// MariaDB starts a database server for the test, with an empty database "site" for root without a
// password, and returns the path of its unix socket. It keeps nothing.
func MariaDB(t T) (socket string) {
	t.Helper()
	server := Tool(t, "mariadb-server-core", "mariadbd", "/usr/sbin/mariadbd")
	install := Tool(t, "mariadb-server-core", "mariadb-install-db")
	dir := TempDir(t)
	data, first := filepath.Join(dir, "data"), filepath.Join(dir, "first.sql")
	user := []string{}
	if os.Geteuid() == 0 {
		user = append(user, "--user=root")
	}
	args := append([]string{"--no-defaults", "--datadir=" + data, "--auth-root-authentication-method=normal", "--skip-test-db"}, user...)
	if out, err := exec.Command(install, args...).CombinedOutput(); err != nil {
		t.Fatalf("mariadb-install-db: %v\n%s", err, out)
	}
	if err := os.WriteFile(first, []byte("CREATE DATABASE site CHARACTER SET utf8mb4;\n"), 0o644); err != nil {
		t.Fatalf("write the first statements: %v", err)
	}
	socket = filepath.Join(dir, "db.sock")
	out := &output{}
	showLog(t, "mariadb", out.String)
	p := startProcess(t, "mariadb", out, exec.Command(server, append([]string{"--no-defaults", "--datadir=" + data, "--socket=" + socket, "--skip-networking",
		"--init-file=" + first, "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--pid-file=" + filepath.Join(dir, "pid")}, user...)...))
	t.Cleanup(func() { p.end(syscall.SIGKILL, time.Second) })
	p.await(t, "unix", socket)
	return socket
}
