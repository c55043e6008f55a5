package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"wsfpm/gateway/config"
)

// openListeners opens the addresses for clients, all or none.
func openListeners(ctx context.Context, cfg *config.Config, log *zap.Logger) ([]net.Listener, error) {
	var open []net.Listener
	for _, address := range cfg.Listen {
		next, err := openAddress(ctx, address, cfg, log)
		if err != nil {
			closeListeners(open)
			return nil, fmt.Errorf("listen on %s: %w", address, err)
		}
		open = append(open, next...)
	}
	return open, nil
}

func closeListeners(open []net.Listener) {
	for _, l := range open {
		_ = l.Close() // nothing was accepted yet
	}
}

// openAddress opens one address; only "systemd" may yield several sockets.
func openAddress(ctx context.Context, address string, cfg *config.Config, log *zap.Logger) ([]net.Listener, error) {
	if address == config.Systemd {
		return systemdListeners()
	}
	var l net.Listener
	var err error
	if file, ok := strings.CutPrefix(address, "unix:"); ok {
		l, err = listenUnix(ctx, file, cfg, log)
	} else {
		l, err = new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	if err != nil {
		return nil, err
	}
	return []net.Listener{l}, nil
}

// systemdListeners takes over the sockets that systemd opened (LISTEN_FDS).
// systemd keeps its own copies open, so after Close clients wait in the backlog for
// the next process.
func systemdListeners() ([]net.Listener, error) {
	all, err := activation.Listeners()
	if err != nil {
		return nil, err
	}
	var open []net.Listener
	for _, l := range all {
		if l != nil { // nil: a descriptor of another kind
			open = append(open, l)
		}
	}
	if len(open) == 0 {
		return nil, errors.New("systemd passed no listening socket: is there a .socket unit for this service, and did systemd start it?")
	}
	return open, nil
}

// unixListener is a unix socket that unlinks its path on Close, unless the path now
// leads to another process's socket.
type unixListener struct {
	*net.UnixListener
	path string
	made os.FileInfo // the socket's file
}

// listenUnix replaces the socket at a path atomically: it creates a socket beside the
// path, sets mode and group, and renames it. Clients never see a missing socket or
// one with the wrong rights. A stale socket, or that of a previous process, is
// replaced; a file of another kind is an error.
func listenUnix(ctx context.Context, file string, cfg *config.Config, log *zap.Logger) (net.Listener, error) {
	if err := replaceable(ctx, file, log); err != nil {
		return nil, err
	}
	beside := filepath.Join(filepath.Dir(file), "."+strconv.Itoa(os.Getpid()))
	if err := os.Remove(beside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: beside, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	made, err := install(beside, file, cfg)
	if err != nil {
		_ = listener.Close()
		_ = os.Remove(beside)
		return nil, err
	}
	return &unixListener{UnixListener: listener, path: file, made: made}, nil
}

// listenAlone is listenUnix for a socket that no other process may take over: it refuses
// while one listens there. The lock file exists during the start only, so that of two
// processes that start at once, and find the same stale socket, one is refused.
func listenAlone(ctx context.Context, file string, cfg *config.Config, log *zap.Logger) (net.Listener, error) {
	unlock, err := lockFile(filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", file)
	switch {
	case err == nil:
		_ = conn.Close() // a probe for a running process
		return nil, errors.New("another process listens there, perhaps a second wsfpm serve: stop it, or choose another path")
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTSOCK): // the last is refused below
		return listenUnix(ctx, file, cfg, log)
	}
	return nil, fmt.Errorf("look for a process that listens there: %w", err)
}

// lockFile makes a file and locks it; unlock removes it. It does not wait.
func lockFile(name string) (unlock func(), err error) {
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("another process starts there at this moment: lock %s: %w", name, err)
		}
		ours, err := f.Stat()
		now, gone := os.Lstat(name)
		if err == nil && gone == nil && os.SameFile(ours, now) {
			return func() { _ = os.Remove(name); _ = f.Close() }, nil // in this order: the next process finds a file without a name, and makes another
		}
		_ = f.Close() // its owner has just removed it
	}
}

// replaceable returns an error if the path holds something other than a socket.
func replaceable(ctx context.Context, file string, log *zap.Logger) error {
	info, err := os.Lstat(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return errors.New("the path exists and is not a socket: remove it, or choose another")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", file)
	if err == nil {
		_ = conn.Close() // a probe for a running process
		log.Warn("socket of a running process was replaced", zap.String("listen", "unix:"+file))
	}
	return nil
}

// install sets mode and group of a socket and renames it to its path.
func install(beside, file string, cfg *config.Config) (os.FileInfo, error) {
	if cfg.ListenGroup != "" {
		gid, err := groupID(cfg.ListenGroup)
		if err != nil {
			return nil, err
		}
		if err := os.Chown(beside, -1, gid); err != nil {
			return nil, fmt.Errorf("listen_group %s: %w", cfg.ListenGroup, err)
		}
	}
	if err := os.Chmod(beside, os.FileMode(cfg.ListenMode)); err != nil {
		return nil, fmt.Errorf("listen_mode: %w", err)
	}
	made, err := os.Lstat(beside)
	if err != nil {
		return nil, err
	}
	return made, os.Rename(beside, file)
}

// groupID finds a group by name or number.
func groupID(name string) (int, error) {
	if gid, err := strconv.Atoi(name); err == nil {
		return gid, nil
	}
	group, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("listen_group: %w", err)
	}
	return strconv.Atoi(group.Gid)
}

// Close stops listening. The file is removed while the socket is still open, since
// its inode cannot be reused until then.
func (l *unixListener) Close() error {
	if l.inPlace() == nil {
		_ = os.Remove(l.path) // a remaining one is replaced at the next start
	}
	return l.UnixListener.Close()
}

// inPlace returns an error if the path no longer leads to this socket, so that no new
// client can connect.
func (l *unixListener) inPlace() error {
	now, err := os.Lstat(l.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("listen: unix:%s is gone: clients cannot connect until a restart", l.path)
	case err != nil:
		return fmt.Errorf("listen: %w", err)
	case !os.SameFile(now, l.made):
		return fmt.Errorf("listen: unix:%s is no longer this process's socket: another process replaced it", l.path)
	}
	return nil
}

// Addr returns the final path, not the one at which the socket was created.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }
