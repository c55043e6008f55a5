package gateway

import (
	"runtime"
	"syscall"
	"time"
)

// pauses implements the waits of a loop that runs while there is traffic. Whenever all
// processors of Go's scheduler (its Ps) are idle, the runtime's monitor thread (sysmon)
// sleeps, and the next system call wakes it: two thread switches per message. A pause
// therefore keeps one P busy, as a computation would, while the process has CPU time to
// spare.
//
// A pauses is used by one goroutine.
type pauses struct {
	end  time.Time     // of the last pause
	used time.Duration // CPU time of the process at end
}

// wait waits for d. While it occupies a P, a starting garbage collection interrupts it (by
// the signal that preempts goroutines), and timers of this P are up to d late.
func (p *pauses) wait(d time.Duration) {
	if !p.spare(runtime.GOMAXPROCS(0) - 1) {
		time.Sleep(d)
		return
	}
	for end := time.Now().Add(d); d > 0; d = time.Until(end) {
		occupy(d)
		runtime.Gosched() // a new time slice; a waiting collection runs first
	}
}

// spare reports whether the process has used at most three quarters of the CPU time of that
// many processors since the last call, or in the last second.
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
