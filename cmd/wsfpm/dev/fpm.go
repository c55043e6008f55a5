package dev

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTime = 10 * time.Second       // for PHP-FPM to take connections
	endTime   = 3 * time.Second        // for PHP-FPM to end, before it is killed
	lookTime  = 10 * time.Millisecond  // between two looks at its socket
	drainTime = 500 * time.Millisecond // for its last lines, after its end
	lastLines = 10                     // kept for the error of a PHP-FPM that ends
	maxLine   = 8 << 10                // longer lines of its log are cut into several
)

// FPMOptions configures a private PHP-FPM.
type FPMOptions struct {
	Program string            // path of php-fpm
	Dir     string            // made by [TempDir] for the same account: socket, sessions, temporary files
	Workers int               // at least 1
	Account *Account          // nil: wsfpm's own user
	Env     map[string]string // further environment of scripts
	Print   func(line string) // called with each line that PHP-FPM itself writes, by one goroutine; its text is not escaped
}

// FPM is a running PHP-FPM, of which nothing is left after Stop. It is safe for concurrent
// use.
type FPM struct {
	cmd   *exec.Cmd
	print func(line string)
	done  chan struct{} // closed after its end

	mu   sync.Mutex // guards what follows
	last []string   // its newest lines, for errors

	ended error // set before done is closed
}

// StartFPM starts PHP-FPM and returns when it takes connections on [FPMOptions.Address]. The
// error has what it wrote before it ended.
func StartFPM(ctx context.Context, o FPMOptions) (*FPM, error) {
	file := filepath.Join(o.Dir, "fpm.conf")
	if err := writeNew(file, []byte(o.render()), o.Account); err != nil {
		return nil, err
	}
	args := []string{"--nodaemonize", "--fpm-config", file}
	for _, definition := range definitions(o.Dir) {
		args = append(args, "--define", definition)
	}
	if o.Account == nil && os.Geteuid() == 0 {
		args = append(args, "--allow-to-run-as-root")
	}
	f := &FPM{cmd: exec.Command(o.Program, args...), print: o.Print, done: make(chan struct{})}
	f.cmd.SysProcAttr = attributes() // with a process group of its own: Ctrl-C ends it after the gateway
	if a := o.Account; a != nil {
		f.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.UID), Gid: uint32(a.GID), Groups: a.Groups}
		f.cmd.Env = append(os.Environ(), "HOME="+a.Home, "USER="+a.Name, "LOGNAME="+a.Name)
	}
	if err := f.run(o.Account); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Program, err)
	}
	if err := f.await(ctx, o.socket()); err != nil {
		f.Stop()
		return nil, err
	}
	return f, nil
}

// Address is where PHP-FPM listens, as in wsfpm's configuration.
func (o *FPMOptions) Address() string { return "unix:" + o.socket() }

// Done is closed after the end of PHP-FPM.
func (f *FPM) Done() <-chan struct{} { return f.done }

// Err returns how PHP-FPM ended, with its last lines. It is valid after Done.
func (f *FPM) Err() error { return f.ended }

// Stop ends PHP-FPM with its workers, if it still runs, and waits for the end.
func (f *FPM) Stop() {
	_ = f.cmd.Process.Signal(syscall.SIGTERM) // an error: it has ended
	select {
	case <-f.done:
	case <-time.After(endTime):
		_ = f.cmd.Process.Kill()
		<-f.done
	}
}

// run starts the process, and a goroutine that ends with it.
func (f *FPM) run(owner *Account) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	if owner != nil { // PHP-FPM opens it by its name
		err = write.Chown(owner.UID, owner.GID)
	}
	if err == nil {
		f.cmd.Stdout, f.cmd.Stderr = write, write
		err = f.cmd.Start()
	}
	err = errors.Join(err, write.Close())
	if err != nil {
		return errors.Join(err, read.Close())
	}
	go func() {
		defer close(f.done)
		copied := make(chan struct{})
		go func() {
			defer close(copied)
			f.copyLines(read)
		}()
		awaitEnd(f.cmd.Process.Pid) // and then of its workers
		err := f.cmd.Wait()
		_ = read.SetReadDeadline(time.Now().Add(drainTime)) // a process of a script may hold the pipe
		<-copied
		_ = read.Close()
		f.ended = f.describe(err)
	}()
	return nil
}

// describe returns how PHP-FPM ended.
func (f *FPM) describe(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	how := "it exited"
	if err != nil {
		how = err.Error()
	}
	if len(f.last) == 0 {
		return fmt.Errorf("php-fpm ended: %s", how)
	}
	return fmt.Errorf("php-fpm ended: %s\n  %s", how, strings.Join(f.last, "\n  "))
}

// await waits until PHP-FPM takes connections.
func (f *FPM) await(ctx context.Context, socket string) error {
	late := time.NewTimer(startTime)
	defer late.Stop()
	look := time.NewTicker(lookTime)
	defer look.Stop()
	for {
		if conn, err := net.Dial("unix", socket); err == nil {
			return conn.Close()
		}
		select {
		case <-look.C:
		case <-f.done:
			return f.ended
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return fmt.Errorf("php-fpm did not listen on %s within %v", socket, startTime)
		}
	}
}

// ownLine matches a line of PHP-FPM itself, with its level.
var ownLine = regexp.MustCompile(`^\[[^\]]*\] (DEBUG|NOTICE|WARNING|ERROR|ALERT): (.*)$`)

// copyLines prints what PHP-FPM writes, except its notices: they are about starts and ends.
func (f *FPM) copyLines(from io.Reader) {
	lines := bufio.NewReaderSize(from, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		if text := strings.TrimRight(string(line), "\r\n"); text != "" {
			f.line(text)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return // the end
		}
	}
}

// line prints one line.
func (f *FPM) line(text string) {
	own := ownLine.FindStringSubmatch(text)
	if own != nil && (own[1] == "NOTICE" || own[1] == "DEBUG") {
		return
	}
	if own != nil {
		text = own[2]
	}
	f.mu.Lock()
	if f.last = append(f.last, text); len(f.last) > lastLines {
		f.last = f.last[1:]
	}
	f.mu.Unlock()
	f.print(text)
}
