package fcgi

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fpm is a PHP-FPM of its own for one test.
type fpm struct {
	t       *testing.T
	dir     string
	address string
	conf    string
	cmd     *exec.Cmd
}

// startFPM starts PHP-FPM with a static pool of workers. conf is added to the
// pool's section. These tests run with WSFPM_INTEGRATION=1 only.
func startFPM(t *testing.T, workers int, conf string) *fpm {
	t.Helper()
	if os.Getenv("WSFPM_INTEGRATION") != "1" {
		t.Skip("WSFPM_INTEGRATION=1 runs the tests that need PHP-FPM")
	}
	dir, err := os.MkdirTemp("", "wsfpm-fpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f := &fpm{t: t, dir: dir, address: filepath.Join(dir, "fpm.sock"), conf: filepath.Join(dir, "fpm.conf")}
	text := fmt.Sprintf("[global]\nerror_log=%s/fpm.log\ndaemonize=no\n[www]\nlisten=%s\npm=static\n"+
		"pm.max_children=%d\nrequest_terminate_timeout=0\nphp_admin_value[post_max_size]=64M\n"+
		"php_admin_flag[log_errors]=on\nphp_admin_value[memory_limit]=256M\n%s\n", dir, f.address, workers, conf)
	if os.Getuid() == 0 {
		text += "user=root\ngroup=root\n"
	}
	f.write("fpm.conf", text)
	f.start()
	t.Cleanup(f.stop)
	return f
}

func (f *fpm) write(name, text string) string {
	f.t.Helper()
	file := filepath.Join(f.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
	return file
}

func (f *fpm) start() {
	f.t.Helper()
	f.spawn()
	eventually(f.t, "PHP-FPM listening", f.listening)
}

// spawn starts the process and does not wait for its socket.
func (f *fpm) spawn() {
	f.t.Helper()
	f.cmd = exec.Command("php-fpm8.2", "-F", "-R", "-n", "-y", f.conf)
	if err := f.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fpm) listening() bool {
	c, err := net.Dial("unix", f.address)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func (f *fpm) stop() {
	if f.cmd != nil {
		f.cmd.Process.Signal(syscall.SIGTERM)
		f.cmd.Wait()
		f.cmd = nil
	}
}

func (f *fpm) signal(s syscall.Signal) { f.cmd.Process.Signal(s) }

// env is the Env of a script with that PHP code.
func (f *fpm) env(name, code string) *Env {
	f.t.Helper()
	file := f.write(name, "<?php "+code)
	e, err := NewEnv(map[string]string{"SCRIPT_FILENAME": file, "SCRIPT_NAME": "/" + name,
		"REQUEST_METHOD": "POST", "CONTENT_TYPE": "text/plain", "SERVER_PROTOCOL": "HTTP/1.1"})
	if err != nil {
		f.t.Fatal(err)
	}
	return e
}

func (f *fpm) pool(cfg Config) *Pool {
	f.t.Helper()
	cfg.Address = f.address
	return newTestPool(f.t, cfg)
}

const phpEcho = "echo file_get_contents('php://input');"

func TestFPMEcho(t *testing.T) {
	f := startFPM(t, 4, "")
	p := f.pool(Config{MaxConnections: 4})
	e := f.env("echo.php", phpEcho)
	start := time.Now()
	for i := range 2000 {
		body := strings.Repeat("x", i)
		status, got, err := call(p, &Request{Env: e, Body: []byte(body)})
		if status != 200 || got != body || err != nil {
			t.Fatalf("got %d %.50q %v", status, got, err)
		}
	}
	t.Logf("%v %+v", time.Since(start)/2000, p.Stats())
	_ = context.Background
}
