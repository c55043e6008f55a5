package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
)

// visitor is a client with an address of its own.
func visitor(i int) *client {
	return &client{addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), known: true}
}

// letIn is how many of so many visitors are admitted.
func (a *admission) letIn(n int, l *config.Limits) (admitted int) {
	for i := range n {
		if a.admit(visitor(i), l) == nil {
			admitted++
		}
	}
	return admitted
}

func TestNewcomersBeyondTheRateAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &admission{}
		l := &config.Limits{AcceptRate: 10, AcceptBurst: 20}
		if got := a.letIn(100, l); got != 20 {
			t.Errorf("at once: %d were let in, want the burst of 20", got)
		}
		time.Sleep(time.Second) // on a fake clock
		if got := a.letIn(100, l); got != 10 {
			t.Errorf("a second later: %d were let in, want 10", got)
		}
		faster := &config.Limits{AcceptRate: 30, AcceptBurst: 30}
		time.Sleep(time.Second)
		if got := a.letIn(100, faster); got < 10 || got > 30 {
			t.Errorf("by the new limits: %d were let in, want 10 to 30", got)
		}
		time.Sleep(time.Second)
		if got := a.letIn(100, faster); got != 30 {
			t.Errorf("by the new limits, a second later: %d were let in, want 30", got)
		}
		if got := a.letIn(100, &config.Limits{}); got != 100 {
			t.Errorf("without a limit: %d were let in, want all", got)
		}
	})
}

func TestTheStormIsToldToComeBackAtDifferentTimes(t *testing.T) {
	a := &admission{}
	l := &config.Limits{AcceptRate: 1e-9, AcceptBurst: 1}
	a.letIn(1, l)
	times := make(map[string]bool)
	for i := range 200 {
		r := a.admit(visitor(i), l)
		if r == nil || r.status != http.StatusServiceUnavailable || r.why != "accept_rate" {
			t.Fatalf("got %v, want 503", r)
		}
		after := r.header.Get("Retry-After")
		if n, err := strconv.Atoi(after); err != nil || n < 1 || n > comeBack {
			t.Fatalf("Retry-After: %q", after)
		}
		times[after] = true
	}
	if len(times) != comeBack {
		t.Errorf("200 refusals name %d different times, want %d", len(times), comeBack)
	}
}

func TestWhomAnotherLimitKeepsOutTakesNoTurn(t *testing.T) {
	a := &admission{}
	l := &config.Limits{AcceptRate: 1e-9, AcceptBurst: 3, ConnectionsPerAddress: 1}
	for range 10 {
		_ = a.admit(visitor(1), l)
	}
	if got := a.letIn(10, l); got != 2 { // 0 and 2: 1 is here already
		t.Errorf("%d more were let in, want 2", got)
	}
	if a.total != 3 || len(a.addresses) != 3 {
		t.Errorf("%d connections of %d addresses are counted, want 3 and 3", a.total, len(a.addresses))
	}
}

func TestAStormIsRefusedBeforePHP(t *testing.T) {
	h := start(t, echo, func(c *config.Config) { c.Limits.AcceptRate, c.Limits.AcceptBurst = 1e-9, 1 })
	h.dial("/", nil)
	_, answer, err := websocket.Dial(t.Context(), h.url, nil)
	if err == nil || answer == nil || answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" {
		t.Fatalf("got %v, %v, want 503 with Retry-After", answer, err)
	}
	if got := h.Stats().Refusals[Refusal{503, "accept_rate"}]; got != 1 {
		t.Errorf("%d were counted, want 1", got)
	}
	if got := len(h.seen("connect")); got != 1 {
		t.Errorf("PHP was asked %d times, want once", got)
	}
	h.reloaded(func(c *config.Config) { c.Limits.AcceptRate = 0 })
	h.dial("/", nil)
}

func TestHandshakesWithTooManyOrTooLargeHeadersAreRefused(t *testing.T) {
	h := start(t, echo, func(c *config.Config) { c.Limits.HandshakeHeaderCount, c.Limits.HandshakeHeaders = 20, 8<<10 })
	for _, test := range []struct {
		more, size int
		want       Refusal
	}{
		{8, 10, Refusal{}},
		{20, 10, Refusal{431, "handshake_header_count"}},
		{2, 3 << 10, Refusal{}},
		{2, 5 << 10, Refusal{431, "handshake_headers"}},
	} {
		header := make(http.Header)
		for i := range test.more {
			header.Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", test.size))
		}
		conn, _, err := websocket.Dial(t.Context(), h.url, &websocket.DialOptions{HTTPHeader: header})
		if err == nil {
			_ = conn.CloseNow()
		}
		if let := test.want == (Refusal{}); let != (err == nil) || !let && h.Stats().Refusals[test.want] != 1 {
			t.Errorf("%d headers of %d bytes: got %v, refusals %v", test.more, test.size, err, h.Stats().Refusals)
		}
	}
}

func TestHandshakesThatNeverComeWholeAreCounted(t *testing.T) {
	h := start(t, echo, nil)
	server := httptest.NewUnstartedServer(h.Gateway)
	server.Config.ReadHeaderTimeout = 100 * time.Millisecond
	server.Config.MaxHeaderBytes = 1
	h.Attend(server.Config)
	server.Start()
	defer server.Close()
	for _, test := range []struct {
		name, sent   string
		leave        bool
		late, broken int64
	}{
		{"nothing, and leaves", "", true, 0, 0},
		{"nothing", "", false, 1, 0},
		{"a part", "GET / HTTP/1.1\r\nHost: a\r\n", false, 2, 0},
		{"a part, and leaves", "GET / HTTP/1.1\r\nHost: a\r\n", true, 2, 1},
		{"nonsense", "hello\r\n\r\n", false, 2, 2},
		{"headers without end", "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 8<<10), false, 2, 3},
		{"a request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", false, 2, 3},
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte(test.sent))
		if !test.leave {
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			for err = nil; err == nil; _, err = conn.Read(make([]byte, 1<<10)) {
			}
		}
		conn.Close()
		eventually(t, test.name, func() bool {
			_, late, broken := h.accepted.snapshot()
			return late == test.late && broken == test.broken
		})
	}
	eventually(t, "nothing to be kept", func() bool {
		return h.Stats().Sockets == Sockets{Most: h.Stats().Sockets.Most}
	})
}
