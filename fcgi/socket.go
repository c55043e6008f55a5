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
	poll    func(fd uintptr) // bound once, or every call would allocate
	outq    func(fd uintptr)
	polled  [1]unix.PollFd
	silent  bool
	waiting int
}

func newSocket(nc net.Conn) *socket {
	s := &socket{unix: nc.LocalAddr().Network() == "unix"}
	if sc, ok := nc.(syscall.Conn); ok {
		s.raw, _ = sc.SyscallConn()
	}
	s.poll, s.outq = s.readPoll, s.readOutq
	return s
}

// closed tells whether an idle connection is of no more use: the server closed it,
// or sent what nobody asked for.
func (s *socket) closed() bool {
	if s.raw == nil {
		return false
	}
	s.silent = false
	return s.raw.Control(s.poll) != nil || !s.silent
}

func (s *socket) readPoll(fd uintptr) {
	for {
		s.polled[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		n, err := unix.Poll(s.polled[:], 0)
		if !errors.Is(err, unix.EINTR) {
			s.silent = n == 0 && err == nil // no data, no end, no error
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
