//go:build !linux || race

package sockio

import "golang.org/x/sys/unix"

// The race detector knows that these calls order memory: what was written before a Send is seen
// after its Recv, in tests that have both ends.

// Send writes p to a socket by write(2).
func Send(fd int, p []byte) (n int, err error) { return transfer(unix.Write, fd, p) }

// Recv reads from a socket by read(2).
func Recv(fd int, p []byte) (n int, err error) { return transfer(unix.Read, fd, p) }

// transfer repeats a call after a signal.
func transfer(call func(int, []byte) (int, error), fd int, p []byte) (n int, err error) {
	for {
		if n, err = call(fd, p); err != unix.EINTR {
			return max(n, 0), err
		}
	}
}
