package fcgi

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket looks at a connection's file descriptor without blocking and without
// Go's deadlines. It is not safe for concurrent use. Over something that is no
// socket (net.Pipe in tests) it sees nothing and says that all is well.
type socket struct {
	raw    syscall.RawConn
	poll   func(fd uintptr) // bound once, or every call would allocate
	polled [1]unix.PollFd
	silent bool
}

func newSocket(nc net.Conn) *socket {
	s := &socket{}
	if sc, ok := nc.(syscall.Conn); ok {
		s.raw, _ = sc.SyscallConn()
	}
	s.poll = s.readPoll
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
