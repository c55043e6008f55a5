package load

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsfpm/test/stack"
)

// mostOfAMiss is the part of the gateway's CPU time for a miss, with its call of PHP, that an
// answer from the cache may take.
const mostOfAMiss = 0.5

// An answer from the cache costs the gateway less than half of the CPU of a miss, which calls
// PHP and stores its answer, and of a message on a route without a cache, in turns. What
// remains is the message's own way: the wake-up, the read and the write of its socket.
func TestSoakAHitCostsHalfOfAMiss(t *testing.T) {
	begin(t, 1000)
	dir := stack.Scripts(t, map[string]string{"public.php": `header('Cache-Control: public, max-age=60'); echo str_repeat('x', 64);`})
	script := filepath.Join(dir, "public.php")
	g := stack.Gateway(t, stack.GatewayOptions{FPM: stack.FPM(t, stack.FPMOptions{Children: 4}), FPMLines: "max_connections = 4\nmax_idle = 4",
		LogLevel: "info", Limits: "messages_per_second = 0",
		Routes: fmt.Sprintf("[[route]]\npath = \"/cached\"\nscript = %q\ncache = \"1MiB\"\n[[route]]\npath = \"/plain\"\nscript = %q\n", script, script)})
	const clients, messages, rounds = 64, 100, 6
	var number atomic.Int64
	same := func() string { return fmt.Sprintf("%064d", 0) }
	another := func() string { return fmt.Sprintf("%064d", number.Add(1)) }
	kinds := []struct {
		path string
		text func() string
		all  []*stack.Client
		used time.Duration
	}{{path: "/cached", text: same}, {path: "/cached", text: another}, {path: "/plain", text: same}}
	for i := range kinds {
		k := &kinds[i]
		for range clients {
			c := stack.Dial(t, g.URL+k.path, stack.DialOptions{})
			c.Next() // the answer to connect
			k.all = append(k.all, c)
		}
		exchange(k.all, k.text, 100)
	}
	for range rounds {
		for i := range kinds {
			k := &kinds[i]
			before := cpuOf(t, g.PID())
			exchange(k.all, k.text, messages)
			k.used += cpuOf(t, g.PID()) - before
		}
	}
	const n = clients * messages * rounds
	hit, miss, plain := kinds[0].used/n, kinds[1].used/n, kinds[2].used/n
	ofMiss, ofPlain := float64(hit)/float64(miss), float64(hit)/float64(plain)
	t.Logf("a hit takes %v of the gateway's CPU, a miss %v, a message without a cache %v: %.2f and %.2f of them", hit, miss, plain, ofMiss, ofPlain)
	if hits := g.Metric(t, "wsfpm_cache_messages_total", `outcome="hit"`); hits < n {
		t.Errorf("%v hits, want %d", hits, n)
	}
	if misses := g.Metric(t, "wsfpm_cache_messages_total", `outcome="miss"`); misses < n {
		t.Errorf("%v misses, want %d", misses, n)
	}
	if ofMiss > mostOfAMiss || ofPlain > mostOfAMiss {
		t.Errorf("a hit takes %.2f of the CPU of a miss, %.2f of a message without a cache, want at most %v", ofMiss, ofPlain, mostOfAMiss)
	}
}

// exchange has each client send a text and await its answer, n times.
func exchange(clients []*stack.Client, text func() string, n int) {
	var running sync.WaitGroup
	for _, c := range clients {
		running.Go(func() {
			for range n {
				c.Send(text())
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
