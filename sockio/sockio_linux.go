//go:build !race

package sockio

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Send writes p to a socket, as far as there is room, and returns the number of bytes. It does
// not wait: the error is EAGAIN without any room. Others are those of send(2); a peer that is gone
// makes no SIGPIPE.
func Send(fd int, p []byte) (n int, err error) {
	return transfer(unix.SYS_SENDTO, fd, p, unix.MSG_NOSIGNAL)
}

// Recv reads what has come into p, and returns the number of bytes, 0 at the end of the stream.
// It does not wait: the error is EAGAIN when nothing has come. Others are those of recv(2).
func Recv(fd int, p []byte) (n int, err error) {
	return transfer(unix.SYS_RECVFROM, fd, p, 0)
}

// transfer is sendto(2) or recvfrom(2) without an address, repeated after a signal.
func transfer(call uintptr, fd int, p []byte, flags uintptr) (n int, err error) {
	for {
		r, _, errno := unix.Syscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		switch errno {
		case 0:
			return int(r), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
