package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// workers is the size of the PHP-FPM pool.
const workers = 8

// lab is the servers of one run, in a folder of its own. One goroutine uses it;
// only an interruption closes it from another.
type lab struct {
	o      *options
	root   string // of the checkout
	dir    string
	kept   bool
	binary string // wsfpm
	self   string // this program

	mu      sync.Mutex // guards running
	running []*process

	php    *process
	socket string // PHP-FPM's
	status string // PHP-FPM's, for the status page
	redis  *redisServer
}

// newLab builds wsfpm and starts PHP-FPM and Redis.
func newLab(o *options) (*lab, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	l := &lab{o: o, root: root}
	if l.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if l.dir, err = os.MkdirTemp("", "wsfpm-bench-"); err != nil {
		return nil, err
	}
	if err := l.prepare(); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) prepare() error {
	if err := os.Chmod(l.dir, 0o755); err != nil {
		return err
	}
	for _, sub := range []string{"php", "peers"} {
		if err := os.CopyFS(filepath.Join(l.dir, sub), os.DirFS(filepath.Join(l.root, "bench", sub))); err != nil {
			return err
		}
	}
	if err := l.build(); err != nil {
		return err
	}
	if err := l.startFPM(); err != nil {
		return err
	}
	return l.startRedis()
}

// findRoot is the checkout that the working folder lies in: bench is a module
// of its own within it.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "wsfpm")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("run this in the checkout: there is no cmd/wsfpm above the working folder")
		}
		dir = parent
	}
}

// build compiles wsfpm as it is delivered. WSFPM_BINARY names a ready one.
func (l *lab) build() error {
	if l.binary = os.Getenv("WSFPM_BINARY"); l.binary != "" {
		return nil
	}
	l.binary = filepath.Join(l.dir, "wsfpm")
	cmd := exec.Command("go", "build", "-trimpath", "-o", l.binary, "./cmd/wsfpm")
	cmd.Dir = l.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build wsfpm: %w\n%s", err, out)
	}
	return nil
}

// script is the path of one of the PHP files.
func (l *lab) script(name string) string { return filepath.Join(l.dir, "php", name) }

// start runs a server that ends with the lab.
func (l *lab) start(name string, cmd *exec.Cmd) (*process, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := start(l.dir, name, cmd)
	if err == nil {
		l.running = append(l.running, p)
	}
	return p, err
}

// keep keeps the folder with the servers' logs and returns it.
func (l *lab) keep() string {
	l.kept = true
	return l.dir
}

// close ends all servers, the last started first.
func (l *lab) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.running) - 1; i >= 0; i-- {
		l.running[i].stop()
	}
	l.running = nil
	if !l.kept {
		os.RemoveAll(l.dir)
	}
}

// closeOnSignal ends all servers and this process when it is interrupted,
// until the returned function is called.
func (l *lab) closeOnSignal() (stop func()) {
	signals, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	go func() {
		select {
		case <-signals:
			l.close()
			os.RemoveAll(l.dir) // though what it ended may have failed for that
			os.Exit(130)
		case <-over:
		}
	}()
	return func() {
		signal.Stop(signals)
		close(over)
	}
}

// rest waits until no connection holds a PHP worker any more, so that no peer
// suffers from the one before.
func (l *lab) rest() error {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		s, err := statusOf(l.status)
		if err != nil {
			return err
		}
		if s.Active == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d PHP workers are held after %v", s.Active, patience)
		}
	}
}

// phpPIDs are PHP-FPM's processes.
func (l *lab) phpPIDs() []int { return tree(l.php.pid()) }
