package contract

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"wsfpm/test/stack"
)

// startWithFiles runs a gateway with few file descriptors, each event of which
// needs one of its own.
func startWithFiles(t *testing.T, rows ...string) *world {
	t.Helper()
	return start(t, setup{script: `if ($_SERVER['WS_EVENT'] === 'message') { usleep(20000); echo file_get_contents('php://input'); }`, redis: true,
		options: stack.GatewayOptions{Files: 256, FPMLines: "max_connections = 3\nidle_timeout = \"0s\"",
			Limits: "connections_per_address = 0\nhandshake_timeout = \"0s\"\nmessages_per_second = 0"}}, rows...)
}

// crowdAt opens connections that say nothing.
func crowdAt(t *testing.T, address string, n int) (crowd []net.Conn) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		crowd = append(crowd, c)
	}
	return crowd
}

func TestNewcomersNeverTakeTheLastDescriptors(t *testing.T) {
	w := startWithFiles(t, "5.descriptors")
	w.AwaitLog(t, "warn", "fewer file descriptors", "256")
	var inside []*stack.Client
	for range 8 {
		inside = append(inside, w.dial("", stack.DialOptions{}))
	}
	crowd := crowdAt(t, w.Listen, 400)
	full := func() bool { return w.Metric(t, "wsfpm_handshakes_refused_total", `reason="sockets"`) > 0 }
	stack.Wait(t, "all places to be taken", full)

	var working sync.WaitGroup
	for i, c := range inside {
		working.Go(func() {
			for n := range 10 {
				text := fmt.Sprint("message ", i, " ", n)
				c.Send(text)
				c.Expect(text)
			}
		})
	}
	working.Wait()
	for i := range 10 {
		equal(t, "status of a push by Redis's own doors", w.publish("all", fmt.Sprint(i)), 1)
		for _, c := range inside {
			c.Expect(fmt.Sprint(i))
		}
	}
	equal(t, "messages that failed", w.Metric(t, "wsfpm_fpm_failures_total"), 0)

	for _, c := range crowd {
		_ = c.Close()
	}
	stack.Wait(t, "room again", func() bool { return w.Metric(t, "wsfpm_sockets", `state="reading"`) == 0 })
	w.dial("", stack.DialOptions{})
	if strings.Contains(w.LogText(), "too many open files") {
		t.Error("descriptors were used up")
	}
}

func TestANewcomerLearnsThatDescriptorsAreUsedUp(t *testing.T) {
	w := startWithFiles(t, "5.descriptors", "5.sockets")
	most := int(w.Metric(t, "wsfpm_sockets_limit"))
	crowdAt(t, w.Listen, most)
	stack.Wait(t, "all places to be taken", func() bool { return int(w.Metric(t, "wsfpm_sockets")) == most })
	got := w.refused("", stack.DialOptions{})
	equal(t, "status", got.Status, http.StatusServiceUnavailable)
	equal(t, "Retry-After", got.Header.Get("Retry-After"), "10")
	w.AwaitLog(t, "info", "handshake refused", "file descriptors")
}

// Should descriptors be used up all the same, wsfpm waits for one.
func TestUsedUpDescriptorsAreWaitedFor(t *testing.T) {
	w := startWithFiles(t)
	c := w.dial("", stack.DialOptions{})
	limit := func(n uint64) {
		t.Helper()
		if err := unix.Prlimit(w.PID(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: 256}, nil); err != nil {
			t.Fatal(err)
		}
	}
	limit(3)
	newcomer := stack.HalfHandshake(t, w.Listen, "/ws")
	c.Send("an event that waits for a descriptor")
	stack.Wait(t, "the pauses between attempts to grow", func() bool { return strings.Contains(w.LogText(), "too many open files; retrying in 1s") })
	limit(256)
	c.Expect("an event that waits for a descriptor")
	answer := make([]byte, len("HTTP/1.1 101"))
	if _, err := io.ReadFull(newcomer, answer); err != nil || string(answer) != "HTTP/1.1 101" {
		t.Errorf("the newcomer got %q, %v, want to be let in", answer, err)
	}
	if n := strings.Count(w.LogText(), "too many open files; retrying"); n > 100 {
		t.Errorf("%d attempts to accept, want few: each is to wait longer", n)
	}
}
