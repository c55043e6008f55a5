package main

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"wsfpm/gateway/config"
)

// spareFiles is the number of file descriptors reserved for short uses: looking for
// scripts, reading the configuration, resolving names.
const spareFiles = 32

// redisFiles is the number of descriptors for Redis: go-redis's default pool for
// publishing, and the subscribing connections.
func redisFiles(cfg *config.Config) int {
	if cfg.Redis.URL == "" {
		return 0
	}
	return 10*runtime.GOMAXPROCS(0) + 4
}

// files are the process's file descriptors.
type files struct {
	limit int // 0: unknown
	open  int // when they were counted
}

// countFiles counts the descriptors. Go has raised the soft limit to the hard one.
func countFiles() (f files) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return f
	}
	f.limit = int(limit.Cur)
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		f.open = len(open) - 1 // without the folder itself
	}
	return f
}

// admin is the limit of open connections to the admin listener.
func (f files) admin() int {
	const most, least = 256, 4
	if f.limit == 0 {
		return most
	}
	return min(most, max(least, f.limit/16))
}

// rest is the number of descriptors for clients and PHP-FPM together: those not
// reserved for the listeners of operators, Redis and listeners. 0: no limit.
func (f files) rest(cfg *config.Config) int {
	if f.limit == 0 {
		return 0
	}
	reserved := len(cfg.Listen) + f.admin() + redisFiles(cfg) + spareFiles
	if cfg.Control != "" {
		reserved += controlSockets
	}
	return max(1, f.limit-f.open-reserved)
}

// tooFew returns a warning if limits.connections cannot be reached, else "".
func (f files) tooFew(cfg *config.Config) string {
	reached, _ := cfg.Sockets(f.rest(cfg))
	if cfg.Limits.Connections == 0 || reached >= cfg.Limits.Connections {
		return ""
	}
	return fmt.Sprintf("limits.connections: of %d file descriptors %d are left for clients, fewer than %d: raise LimitNOFILE of the unit (ulimit -n), or lower the limit",
		f.limit, reached, cfg.Limits.Connections)
}
