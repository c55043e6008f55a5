package admin

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// peerUID returns the user of a unix socket's other end, when it connected.
func peerUID(c net.Conn) (uid int, err error) {
	raw, ok := c.(syscall.Conn)
	if !ok {
		return -1, errors.New("no unix socket")
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return -1, err
	}
	var from *unix.Ucred
	var asked error
	err = control.Control(func(fd uintptr) {
		from, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, asked); err != nil {
		return -1, err
	}
	return int(from.Uid), nil
}
