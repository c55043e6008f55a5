package fcgi

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"wsfpm/sockio"
)

// socket gives access to a connection's file descriptor. It is not safe for concurrent
// use. For a connection without one (net.Pipe in tests) it reports no data and no error.
type socket struct {
	nc  net.Conn
	raw syscall.RawConn // nil: no socket

	poll   func(fd uintptr) // readPoll and exchange, bound once,
	step   func(fd uintptr) bool
	polled [1]unix.PollFd
	silent bool

	out    []byte // to be written by the next Read before it reads; may be nil
	sent   int    // bytes of out that the kernel took
	outErr error  // why it took no more
	in     []byte
	n      int
	inErr  error
}

func newSocket(nc net.Conn) *socket {
	s := &socket{nc: nc}
	if sc, ok := nc.(syscall.Conn); ok {
		s.raw, _ = sc.SyscallConn()
	}
	s.poll, s.step = s.readPoll, s.exchange
	return s
}

// writeFirst makes the next Read write b before it reads. It reports false if that is
// not supported.
func (s *socket) writeFirst(b []byte) bool {
	if s.raw == nil {
		return false
	}
	s.out, s.sent, s.outErr = b, 0, nil
	return true
}

// written returns the result of writeFirst. 0 without an error means that the read
// deadline had passed before; writing has its own.
func (s *socket) written() (n int, err error) {
	s.out = nil
	return s.sent, s.outErr
}

// Read reads from the connection. If there are bytes to write first it writes them and
// then waits for data, which saves a read that would find nothing.
func (s *socket) Read(b []byte) (int, error) {
	if s.out == nil {
		return s.nc.Read(b)
	}
	s.in, s.n, s.inErr = b, 0, nil
	err := s.raw.Read(s.step)
	s.in, s.out = nil, nil
	if err != nil && s.sent == 0 && s.outErr == nil && !isTimeout(err) {
		s.outErr = err // the connection is closed
	}
	if err == nil {
		err = s.inErr
	}
	return s.n, err
}

// exchange is called by RawConn.Read: once at first, and whenever the socket has become
// readable. Readiness is edge-triggered and reset before the first call, so the answer
// to the write, which comes later, is not missed.
func (s *socket) exchange(fd uintptr) bool {
	if s.sent == 0 && s.outErr == nil {
		s.sent, s.outErr = sockio.Send(int(fd), s.out)
		switch {
		case s.outErr == unix.EAGAIN:
			s.sent, s.outErr = 0, nil
		case s.outErr != nil:
			s.sent, s.outErr = 0, os.NewSyscallError("write", s.outErr)
		}
		if s.outErr != nil || s.sent < len(s.out) {
			s.inErr = errUnwritten
			return true
		}
		return false
	}
	s.n, s.inErr = sockio.Recv(int(fd), s.in)
	switch {
	case s.inErr == unix.EAGAIN: // woken for nothing; a deadline may end the wait
		s.n = 0
		return false
	case s.inErr != nil:
		s.n, s.inErr = 0, os.NewSyscallError("read", s.inErr)
	case s.n == 0:
		s.inErr = io.EOF
	}
	return true
}

// errUnwritten ends a Read whose bytes to write first were not taken completely.
var errUnwritten = errors.New("not all was written")

// readable reports whether a read would not block: there is data, the end or an error.
// An idle connection is unusable then: the server closed it, or sent unexpected data.
func (s *socket) readable() bool {
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

// refuseInput makes the peer's writes fail, while data written to it remains readable.
// It works on unix sockets only; a TCP peer would keep writing.
func (s *socket) refuseInput() bool {
	u, isUnix := s.nc.(*net.UnixConn)
	return isUnix && runtime.GOOS == "linux" && u.CloseRead() == nil
}

// awaitTaken waits until the peer has read everything written to it, or has closed the
// socket, at most until the write deadline.
func (s *socket) awaitTaken() error {
	return s.raw.Write(func(fd uintptr) bool { // called again whenever the peer has read
		left, err := unix.IoctlGetInt(int(fd), unix.TIOCOUTQ)
		return err != nil || left == 0
	})
}
