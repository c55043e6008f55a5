package dev

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// errorLog is PHP-FPM's stderr by a name that it can open.
const errorLog = "/proc/self/fd/2"

// attributes make the kernel end PHP-FPM if wsfpm dies without ending it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// awaitEnd waits for the end of PHP-FPM and kills the workers that it has left, which are the
// rest of its process group. It reaps nothing, so that the process id stays taken meanwhile.
func awaitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL) // an error: there are none
}
