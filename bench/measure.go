package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuOf is the CPU time that processes have used, user and system, all of
// their threads together. Every process has a clock for it (the number's form
// is the kernel's: clock_getcpuclockid), which is the same account as utime and
// stime of /proc/PID/stat, in nanoseconds instead of hundredths of a second.
func cpuOf(pids ...int) time.Duration {
	const cpuClock = 2
	var sum time.Duration
	for _, pid := range pids {
		var used unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|cpuClock), &used); err != nil {
			continue // ended: what it used is lost
		}
		sum += time.Duration(used.Nano())
	}
	return sum
}

// ownCPU is the CPU time of this process.
func ownCPU() time.Duration { return cpuOf(os.Getpid()) }

// resident is the memory that a process occupies (RSS), in bytes.
func resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "Rss:"); found {
			kilobytes, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("no Rss in smaps_rollup of process %d", pid)
}

// meter reads the clock and the CPU of several processes at two moments.
type meter struct {
	began time.Time
	own   time.Duration
	front []int // the server under test
	php   []int
	rest  []int            // servers between the two
	used  [3]time.Duration // of front, php, rest
}

// usage is what happened between a meter's two moments.
type usage struct{ elapsed, own, front, php, between time.Duration }

func newMeter(front, php []int, between ...int) *meter {
	return &meter{front: front, php: php, rest: between}
}

func (m *meter) start() {
	m.used = [3]time.Duration{cpuOf(m.front...), cpuOf(m.php...), cpuOf(m.rest...)}
	m.own, m.began = ownCPU(), time.Now()
}

func (m *meter) stop() usage {
	return usage{
		elapsed: time.Since(m.began),
		own:     ownCPU() - m.own,
		front:   cpuOf(m.front...) - m.used[0],
		php:     cpuOf(m.php...) - m.used[1],
		between: cpuOf(m.rest...) - m.used[2],
	}
}

// micros is a duration per n things, in microseconds.
func micros(d time.Duration, n int64) float64 {
	if n == 0 {
		return 0
	}
	return float64(d) / float64(n) / float64(time.Microsecond)
}

// spread is the median and the quartiles of a sample.
type spread struct {
	Low    float64 `json:"q1"`
	Median float64 `json:"median"`
	High   float64 `json:"q3"`
}

func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	return spread{quantile(sorted, 0.25), quantile(sorted, 0.5), quantile(sorted, 0.75)}
}

// quantile interpolates between the nearest two of sorted values.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below+1 >= len(sorted) {
		return sorted[below]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}
