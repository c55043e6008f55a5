package contract

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// reached is how many handshakes a limit has kept out.
func (w *world) reached(limit string) float64 {
	w.t.Helper()
	return w.Metric(w.t, "wsfpm_handshakes_refused_total", `reason="`+limit+`"`)
}

func TestHandshakesBeyondTheAcceptRateAreRefused(t *testing.T) {
	w := start(t, setup{script: "trace.php", options: stack.GatewayOptions{Limits: "accept_rate = 0.001\naccept_burst = 2"}}, "5.accept-rate")
	for range 2 {
		w.open()
	}
	got := w.refused("", stack.DialOptions{})
	equal(t, "status", got.Status, http.StatusServiceUnavailable)
	if after, err := strconv.Atoi(got.Header.Get("Retry-After")); err != nil || after < 1 || after > 10 {
		t.Errorf("Retry-After: %q, want 1 to 10 seconds", got.Header.Get("Retry-After"))
	}
	equal(t, "connect events", len(w.trace.Of("connect")), 2)
	equal(t, "counted", w.reached("accept_rate"), 1)
	w.Edit(t, "accept_rate = 0.001", "accept_rate = 0")
	w.Reload()
	w.AwaitLog(t, "info", "reloaded")
	w.open()
}

func TestHandshakesWithTooManyHeadersAreRefused(t *testing.T) {
	w := start(t, setup{script: "trace.php"}, "1.header-count", "1.header-size")
	lines := func(n int, value string) (all []string) {
		for i := range n {
			all = append(all, "X-"+strconv.Itoa(i)+": "+value)
		}
		return all
	}
	equal(t, "50 headers", stack.Handshake(t, w.Listen, "/ws", lines(50, "a")...).Status, 101)
	equal(t, "65 headers", stack.Handshake(t, w.Listen, "/ws", lines(65, "a")...).Status, 431)
	equal(t, "40 KiB", stack.Handshake(t, w.Listen, "/ws", lines(40, strings.Repeat("a", 1024))...).Status, 431)
	equal(t, "counted for their number", w.reached("handshake_header_count"), 1)
	equal(t, "counted for their size", w.reached("handshake_headers"), 1)
	equal(t, "connect events", len(w.trace.Of("connect")), 1)
}

func TestASlowHandshakeIsGivenUp(t *testing.T) {
	w := start(t, setup{script: "trace.php", options: stack.GatewayOptions{Limits: `handshake_timeout = "300ms"`}}, "5.handshake-timeout")
	conn, err := net.Dial("tcp", w.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /ws HTTP/1.1\r\nHost: a\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(stack.Patience))
	if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("got %d bytes, %v, want the connection closed without an answer", n, err)
	}
	stack.Wait(t, "it to be counted", func() bool {
		return w.Metric(t, "wsfpm_handshakes_unread_total", `reason="late"`) == 1
	})
}
