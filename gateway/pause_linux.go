package gateway

import (
	"syscall"
	"time"
	"unsafe"
)

// occupy sleeps for d, or less, without giving up the P: RawSyscall does not announce the
// call to the scheduler.
func occupy(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_, _, _ = syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}
