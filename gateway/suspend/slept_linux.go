package suspend

import (
	"time"

	"golang.org/x/sys/unix"
)

// Slept returns for how long the machine has been suspended since it was started: by what
// CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC (clock_gettime(2)). It costs two system calls.
func Slept() time.Duration {
	var awake, all unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &all) != nil {
		return 0 // Linux has both since 2.6.39
	}
	// Whole seconds: what passes between the two calls counts for nothing.
	return time.Duration(all.Nano() - awake.Nano()).Truncate(time.Second)
}
