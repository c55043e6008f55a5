package gateway

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// pauses are the waits of a loop that runs while messages come. Whenever all
// processors of Go's scheduler (its Ps) are idle, the runtime puts its monitor
// thread to sleep, and the next system call wakes it: two thread switches for a
// message. A pause therefore occupies one P, as a computation would, for as long
// as the others have time to spare.
//
// A pauses is used by one goroutine.
type pauses struct {
	end  time.Time     // of the last pause
	used time.Duration // CPU time of the process, up to then
}

// wait waits for d. When it occupies a P, a collection that begins interrupts it
// for a moment (by the signal that preempts goroutines), and timers that this P
// holds are late by d at most.
func (p *pauses) wait(d time.Duration) {
	if !p.spare(runtime.GOMAXPROCS(0) - 1) {
		time.Sleep(d)
		return
	}
	for end := time.Now().Add(d); d > 0; d = time.Until(end) {
		t := syscall.NsecToTimespec(int64(d))
		// RawSyscall does not announce the call to the scheduler.
		_, _, _ = syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
		runtime.Gosched() // a new time slice; a collection that waits goes first
	}
}

// spare reports whether the process has used at most three quarters of the time
// of so many processors since it was asked last, or a second ago.
func (p *pauses) spare(processors int) bool {
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) != nil {
		return false
	}
	now, used := time.Now(), time.Duration(use.Utime.Nano()+use.Stime.Nano())
	most := min(now.Sub(p.end), time.Second) * time.Duration(processors) * 3 / 4
	spare := processors > 0 && used-p.used <= most
	p.end, p.used = now, used
	return spare
}
