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

// openAddress opens one address; only "systemd" may stand for several sockets.
func openAddress(ctx context.Context, address string, cfg *config.Config, log *zap.Logger) ([]net.Listener, error) {
	if address == config.Systemd {
		return systemdListeners()
	}
	if file, ok := strings.CutPrefix(address, "unix:"); ok {
		l, err := listenUnix(ctx, file, cfg, log)
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return []net.Listener{l}, nil
}

// systemdListeners takes over the sockets that systemd opened (LISTEN_FDS).
// Closing them leaves systemd's own open: clients wait there for a successor.
func systemdListeners() ([]net.Listener, error) {
	all, err := activation.Listeners()
	if err != nil {
		return nil, err
	}
	var open []net.Listener
	for _, l := range all {
		if l != nil { // nil is a descriptor of another kind
			open = append(open, l)
		}
	}
	if len(open) == 0 {
		return nil, errors.New("systemd passed no listening socket: is there a .socket unit for this service, and did systemd start it?")
	}
	return open, nil
}

// unixListener is a unix socket that unlinks its path on Close, unless another
// process has put its own socket there.
type unixListener struct {
	*net.UnixListener
	path string
	made os.FileInfo // the socket's file
}

// listenUnix puts a new socket at a path. It is made beside the path, gets its
// mode and group, and then takes the place of what is there: clients never
// meet a missing socket or one with other rights. A stale socket, or that of a
// process which this one succeeds, goes; a file of another kind stays, and is
// an error.
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

// replaceable says why a path cannot be taken, or nil.
func replaceable(ctx context.Context, file string, log *zap.Logger) error {
	info, err := os.Lstat(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return errors.New("the path exists and is no socket: remove it, or choose another")
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", file)
	if err == nil {
		_ = conn.Close() // it was only to see whether somebody is there
		log.Warn("socket of a running process was replaced", zap.String("listen", "unix:"+file))
	}
	return nil
}

// install gives a socket its mode and group and moves it to its place.
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

// Close stops listening. The file goes while the socket is still open: its
// inode cannot be another's then.
func (l *unixListener) Close() error {
	if l.inPlace() == nil {
		_ = os.Remove(l.path) // a socket that stays is replaced at the next start
	}
	return l.UnixListener.Close()
}

// inPlace is nil while the path leads to this socket; else nobody new comes.
func (l *unixListener) inPlace() error {
	now, err := os.Lstat(l.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("listen: unix:%s is gone: clients cannot connect until a restart", l.path)
	case err != nil:
		return fmt.Errorf("listen: %w", err)
	case !os.SameFile(now, l.made):
		return fmt.Errorf("listen: unix:%s is not this process's socket any more: another process has taken it", l.path)
	}
	return nil
}

// Addr names the path, not the place where the socket was made.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }
