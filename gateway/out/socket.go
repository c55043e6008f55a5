package out

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"wsfpm/sockio"
)

// Socket is a client's connection.
type Socket struct {
	net.Conn
	// Raw accesses Conn's file descriptor, for the net package's own types only: another
	// type may add TLS or a counter. Otherwise it is nil and Conn is used, so that tests
	// with a fake clock can use net.Pipe.
	Raw syscall.RawConn
}

// NewSocket returns the Socket of conn.
func NewSocket(conn net.Conn) (s Socket, err error) {
	s.Conn = conn
	switch c := conn.(type) {
	case *net.TCPConn:
		s.Raw, err = c.SyscallConn()
	case *net.UnixConn:
		s.Raw, err = c.SyscallConn()
	}
	return s, err
}

// Unsent returns the size of the kernel's send queue: bytes written and not yet
// acknowledged by the peer's kernel; over a unix socket, bytes the peer has not read, with
// the kernel's overhead. It returns false if the size is unknown, as
// it is for sockets outside of Linux, where TIOCOUTQ is SIOCOUTQ.
func (s *Socket) Unsent() (n int64, known bool) {
	if s.Raw == nil {
		return 0, false
	}
	var held int
	var failed error
	err := s.Raw.Control(func(fd uintptr) { held, failed = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
	return int64(held), err == nil && failed == nil
}

// write writes bufs in one non-blocking system call.
func write(fd int, bufs [][]byte) (n int, err error) {
	if len(bufs) == 1 {
		return sockio.Send(fd, bufs[0])
	}
	for {
		if n, err = unix.Writev(fd, bufs); err != unix.EINTR {
			return n, err
		}
	}
}
