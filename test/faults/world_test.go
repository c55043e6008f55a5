package faults

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"wsfpm/test/stack"
)

const (
	workers      = 12                     // PHP-FPM's, half of them for each node
	backlog      = 64                     // of PHP-FPM's socket
	timeout      = 2 * time.Second        // the routes'
	queueWait    = 5 * time.Second        // for a worker
	confirm      = 500 * time.Millisecond // redis.confirm
	writeTimeout = 4 * time.Second        // limits.write_timeout
	pubsubLimit  = 64 << 10               // of Redis' output buffer, while a fault is about it
)

// bound is the longest time that an event may go without an answer, an error or
// the end of its connection: for a worker, for the script, for Redis, for a link
// that is silent, and twice that for crowded cores.
const bound = 2 * (queueWait + timeout + confirm + 2500*time.Millisecond)

// world is what the programme breaks.
type world struct {
	t       stack.T
	fpm     *stack.FPMServer
	redis   *stack.RedisServer
	ledger  string // the file that scripts write
	nodes   [2]*stack.GatewayServer
	toFPM   *link    // of the first node; the second has PHP-FPM's own socket
	toRedis [2]*link // of each node
	toNode  [2]*link // of each node's clients
}

// nodeNames are the nodes' own names.
var nodeNames = [2]string{"one", "two"}

// probeOf begins the names of what one node alone hears, by a relay.
func probeOf(node string) string { return "probe-" + node + "." }

// newWorld starts all parts.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	w.fpm = stack.FPM(t, stack.FPMOptions{
		Children: workers,
		Pool:     map[string]string{"listen.backlog": fmt.Sprint(backlog), "catch_workers_output": "no"},
	})
	w.redis = stack.Redis(t, stack.RedisOptions{Args: []string{"--enable-debug-command", "yes"}})
	dir := stack.Scripts(t, map[string]string{"ws.php": script(t)})
	w.ledger = filepath.Join(dir, "ledger")
	w.toFPM = newLink(t, "unix", w.fpm.Socket)
	for i, name := range nodeNames {
		w.toRedis[i] = newLink(t, "tcp", w.redis.Addr)
		listen, admin := stack.FreeAddress(t), stack.FreeAddress(t)
		fpm := w.fpm.Address
		if i == 0 {
			fpm = "tcp:" + w.toFPM.address
		}
		w.nodes[i] = stack.Gateway(t, stack.GatewayOptions{
			Listen: listen, AdminAddress: admin, NotReady: true,
			Env:  []string{"GORACE=atexit_sleep_ms=0"},
			File: configuration(name, listen, admin, fpm, w.toRedis[i].address, filepath.Join(dir, "ws.php")),
		})
		w.toNode[i] = newLink(t, "tcp", listen)
	}
	for _, n := range w.nodes {
		stack.Wait(t, "/ready", n.Ready)
	}
	return w
}

// configuration is one node's wsfpm.toml.
func configuration(name, listen, admin, fpm, redis, script string) string {
	text := fmt.Sprintf(`node = %q
listen = %q
admin = %q
admin_token = %q
drain = "1s"
disconnect_retry = "20s"

[fpm.default]
address = %q
max_connections = %d
max_idle = %d
idle_timeout = "5s"
queue_wait = %q

[redis]
url = "redis://%s/0"
confirm = %q

[[redis.relay]]
pattern = "%s*"
to = "channel:probe"

[limits]
messages_per_second = 0
connections_per_address = 0
write_timeout = %q
ping_interval = "5s"
pong_timeout = "10s"

[log]
level = "info"
format = "json"
`, name, listen, admin, stack.AdminToken, fpm, workers/2, workers/2, queueWait, redis, confirm, probeOf(name), writeTimeout)
	for path, lines := range map[string]string{
		"/message": fmt.Sprintf("on_error = \"message\"\nerror_message = %q", sorry),
		"/close":   `on_error = "close"`,
	} {
		text += fmt.Sprintf("\n[[route]]\npath = %q\nscript = %q\ntimeout = %q\n%s\n", path, script, timeout, lines)
	}
	return text
}

// worker is a test as one of its goroutines sees it: a failure ends the
// goroutine.
type worker struct{ *testing.T }

// Fatalf fails the test and ends the goroutine.
func (w worker) Fatalf(format string, args ...any) {
	w.Helper()
	w.Errorf(format, args...)
	runtime.Goexit()
}
