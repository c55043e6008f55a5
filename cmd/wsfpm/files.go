package main

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"wsfpm/gateway/config"
)

// spareFiles is how many file descriptors are kept back for what comes and goes
// quickly: scripts that are looked for, a file that is read again, names that are
// resolved.
const spareFiles = 32

// redisFiles is how many Redis takes: the connections on which it is published
// to, as many as go-redis makes by default, and those that subscribe.
func redisFiles(cfg *config.Config) int {
	if cfg.Redis.URL == "" {
		return 0
	}
	return 10*runtime.GOMAXPROCS(0) + 4
}

// files are the process's file descriptors.
type files struct {
	limit int // 0: no limit is known
	open  int // when it was asked
}

// countFiles counts them. Go has raised the soft limit to the hard one.
func countFiles() (f files) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return f
	}
	f.limit = int(limit.Cur)
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		f.open = len(open) - 1 // the folder itself was one
	}
	return f
}

// admin is how many connections of operators may be open at once.
func (f files) admin() int {
	const most, least = 256, 4
	if f.limit == 0 {
		return most
	}
	return min(most, max(least, f.limit/16))
}

// rest is how many clients and PHP-FPM have together: what is not kept back for
// operators, Redis and listeners. 0 is any number.
func (f files) rest(cfg *config.Config) int {
	if f.limit == 0 {
		return 0
	}
	return max(1, f.limit-f.open-len(cfg.Listen)-f.admin()-redisFiles(cfg)-spareFiles)
}

// tooFew says that limits.connections cannot be reached, or nothing.
func (f files) tooFew(cfg *config.Config) string {
	reached, _ := cfg.Sockets(f.rest(cfg))
	if cfg.Limits.Connections == 0 || reached >= cfg.Limits.Connections {
		return ""
	}
	return fmt.Sprintf("limits.connections: of %d file descriptors %d are left for clients, fewer than %d: raise LimitNOFILE of the unit (ulimit -n), or lower the limit",
		f.limit, reached, cfg.Limits.Connections)
}
