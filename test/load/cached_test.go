package load

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsfpm/test/stack"
)

// mostOfAMiss is the part of the gateway's CPU time for a call of PHP that an answer from the
// cache may take.
const mostOfAMiss = 0.5

// An answer from the cache costs the gateway less than half of the CPU of a call of PHP: the
// same message and the same answer, on a route with a cache and on one without, in turns. What
// remains is the message's own way: the wake-up, the read and the write of its socket.
func TestSoakAHitCostsHalfOfAMiss(t *testing.T) {
	begin(t, 1000)
	dir := stack.Scripts(t, map[string]string{"public.php": `header('Cache-Control: public, max-age=60'); echo str_repeat('x', 64);`})
	script := filepath.Join(dir, "public.php")
	g := stack.Gateway(t, stack.GatewayOptions{FPM: stack.FPM(t, stack.FPMOptions{Children: 4}), FPMLines: "max_connections = 4\nmax_idle = 4",
		LogLevel: "info", Limits: "messages_per_second = 0",
		Routes: fmt.Sprintf("[[route]]\npath = \"/hit\"\nscript = %q\ncache = \"1MiB\"\n[[route]]\npath = \"/miss\"\nscript = %q\n", script, script)})
	const clients, messages, rounds = 64, 100, 6
	text := strings.Repeat("m", 64)
	used := map[string]time.Duration{}
	all := map[string][]*stack.Client{}
	for _, route := range []string{"/hit", "/miss"} {
		for range clients {
			c := stack.Dial(t, g.URL+route, stack.DialOptions{})
			c.Next() // the answer to connect
			all[route] = append(all[route], c)
		}
		exchange(all[route], text, 100)
	}
	for range rounds {
		for route, list := range all {
			before := cpuOf(t, g.PID())
			exchange(list, text, messages)
			used[route] += cpuOf(t, g.PID()) - before
		}
	}
	n := time.Duration(clients * messages * rounds)
	ratio := float64(used["/hit"]) / float64(used["/miss"])
	t.Logf("a hit takes %v of the gateway's CPU, a miss %v: %.2f of it", used["/hit"]/n, used["/miss"]/n, ratio)
	if hits := g.Metric(t, "wsfpm_cache_messages_total", `outcome="hit"`); hits < float64(n) {
		t.Errorf("%v hits, want %d", hits, n)
	}
	if ratio > mostOfAMiss {
		t.Errorf("a hit takes %.2f of the CPU of a miss, want at most %v", ratio, mostOfAMiss)
	}
}

// exchange has each client send a text and await its answer, n times.
func exchange(clients []*stack.Client, text string, n int) {
	var running sync.WaitGroup
	for _, c := range clients {
		running.Go(func() {
			for range n {
				c.Send(text)
				c.Next()
			}
		})
	}
	running.Wait()
}

// cpuOf is the CPU time that a process has used, of all its threads, user and system.
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	const cpuClock = 2 // see clock_getcpuclockid(3)
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuClock), &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Nano())
}
