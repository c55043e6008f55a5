package fcgi

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket asks the kernel about a connection's file descriptor, without blocking
// and without going through Go's deadlines. It is not safe for concurrent use.
// Over something that is no socket (net.Pipe in tests) it knows nothing and says
// that all is well.
type socket struct {
	raw     syscall.RawConn
	unix    bool
	peek    func(fd uintptr) // bound once, or every call would allocate
	outq    func(fd uintptr)
	lost    bool
	waiting int
	buf     [1]byte
}

func newSocket(nc net.Conn) *socket {
	s := &socket{unix: nc.LocalAddr().Network() == "unix"}
	if sc, ok := nc.(syscall.Conn); ok {
		s.raw, _ = sc.SyscallConn()
	}
	s.peek, s.outq = s.readPeek, s.readOutq
	return s
}

// closed tells whether an idle connection is of no more use: the server closed it,
// or sent what nobody asked for.
func (s *socket) closed() bool {
	if s.raw == nil {
		return false
	}
	s.lost = false
	return s.raw.Control(s.peek) != nil || s.lost
}

func (s *socket) readPeek(fd uintptr) {
	for {
		_, _, err := unix.Recvfrom(int(fd), s.buf[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if !errors.Is(err, unix.EINTR) {
			s.lost = !errors.Is(err, unix.EAGAIN)
			return
		}
	}
}

// unread tells whether the server has yet to read what was sent. Only unix sockets
// know: TCP's figure is about acknowledgements by the kernel, not about reading.
func (s *socket) unread() bool {
	if s.raw == nil || !s.unix {
		return false
	}
	s.waiting = 0
	return s.raw.Control(s.outq) == nil && s.waiting > 0
}

func (s *socket) readOutq(fd uintptr) {
	s.waiting, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ)
}
