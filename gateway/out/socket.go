package out

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Socket is a client's connection.
type Socket struct {
	net.Conn
	// Raw gives Conn's file descriptor, where that surely carries the stream itself:
	// another type than the system's two may have put TLS or a counter in between. Else
	// it is nil, and Conn is used: so tests on a fake clock may have a net.Pipe.
	Raw syscall.RawConn
}

// NewSocket looks at what conn is.
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

// Unsent is how many bytes the system holds for the client: those that were
// written and are not acknowledged by the client's system, over a unix socket
// those that the peer has not read, with what they cost. It reports false when
// that cannot be known.
func (s *Socket) Unsent() (n int64, known bool) {
	if s.Raw == nil {
		return 0, false
	}
	var held int
	var failed error
	err := s.Raw.Control(func(fd uintptr) { held, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return int64(held), err == nil && failed == nil
}

// write writes bufs in one system call that does not wait.
func write(fd int, bufs [][]byte) (n int, err error) {
	for {
		if len(bufs) == 1 {
			n, err = unix.Write(fd, bufs[0])
		} else {
			n, err = unix.Writev(fd, bufs)
		}
		if err != unix.EINTR {
			return n, err
		}
	}
}
