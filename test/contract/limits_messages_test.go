package contract

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"wsfpm/test/stack"
)

// counted waits until a limit has been reached so often.
func (w *world) counted(limit string, times float64) {
	w.t.Helper()
	stack.Wait(w.t, limit+" to be counted", func() bool {
		return w.Metric(w.t, "wsfpm_limits_reached_total", `limit="`+limit+`"`) == times
	})
}

func TestEachLimitOnClientsHasASeries(t *testing.T) {
	w := start(t, setup{script: "echo.php"}, "5.limit-counted")
	_, table, _ := strings.Cut(readFile("../../docs/contract.md"), "\n### Limits\n")
	table, _, _ = strings.Cut(table, "\n### ")
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(?:limits|route)\\.([a-z_]+)` \\|").FindAllStringSubmatch(table, -1) {
		documented[row[1]] = row[1] != "ping_interval" // which refuses no client
	}
	_, metrics := w.AdminDo(t, "GET", "/metrics", "", nil)
	series := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^wsfpm_limits_reached_total\{limit="([a-z_]+)"\} 0$`).FindAllStringSubmatch(metrics, -1) {
		series[line[1]] = true
		if !documented[line[1]] {
			t.Errorf("the series %s has no row in docs/contract.md", line[1])
		}
	}
	for key, counts := range documented {
		if counts && !series[key] {
			t.Errorf("the limit %s has no series", key)
		}
	}
	if len(series) < 20 {
		t.Errorf("got %d series", len(series))
	}
}

func TestConnectionsOfOneUser(t *testing.T) {
	w := start(t, setup{script: whoScript, options: stack.GatewayOptions{Limits: "connections_per_user = 1"}}, "5.limit-user")
	w.dial("?h[]=WS-User:mia", stack.DialOptions{})
	got := w.refused("?h[]=WS-User:mia", stack.DialOptions{})
	equal(t, "the second on connect", got.Status, http.StatusTooManyRequests)
	if got.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	first := w.dial("?h[]=WS-User:tom", stack.DialOptions{})
	first.Next()
	w.refused("?h[]=WS-User:tom&h[]=WS-Publish:user:tom", stack.DialOptions{})
	first.Send("WS-User: tom")
	first.Expect("ok") // and nothing before it: the answer of the refused one was not carried out
	later := w.open()
	later.Next()
	later.Send("WS-User: mia")
	later.ExpectClose(1008)
	w.counted("connections_per_user", 3)
}

func TestLargeFramesAreNotCountedAsFragments(t *testing.T) {
	w := start(t, setup{script: "echo.php", options: stack.GatewayOptions{Limits: "max_fragments = 3"}}, "5.large-fragments")
	c := w.open()
	part := strings.Repeat("x", 1024)
	c.SendFragments(websocket.MessageText, []byte(part), []byte(part), []byte(part), []byte(part), []byte("end"))
	c.Expect(strings.Repeat(part, 4) + "end")
}

func TestRulesForWhatAClientSends(t *testing.T) {
	const route = "message_limit = \"1KiB\"\ncompression = true"
	for name, test := range map[string]struct {
		row    string
		limits string
		send   func(*stack.Client)
		code   int
	}{
		"message_limit": {"5.message-limit", "", func(c *stack.Client) { c.Send(strings.Repeat("x", 1025)) }, 1009},
		"max_fragments": {"5.max-fragments", "max_fragments = 3", func(c *stack.Client) {
			c.SendFragments(websocket.MessageText, []byte("a"), []byte("b"), []byte("c"), []byte("d"))
		}, 1008},
		"assembly_timeout": {"5.assembly-timeout", `assembly_timeout = "300ms"`, func(c *stack.Client) {
			c.Raw(stack.ClientFrame(0x01, []byte("begun"))) // and no more
		}, 1008},
		"control_rate": {"5.control-rate", "control_rate = 0.001\ncontrol_burst = 5", func(c *stack.Client) {
			for range 6 {
				c.Raw(stack.ClientFrame(0x8a, nil))
			}
		}, 1008},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, setup{script: "echo.php", route: route, options: stack.GatewayOptions{Limits: test.limits}}, test.row)
			c := w.open()
			test.send(c)
			c.ExpectClose(test.code)
			w.counted(name, 1)
		})
	}
}

func TestACompressedMessageIsBoundBeforeAndAfterInflating(t *testing.T) {
	w := start(t, setup{script: "echo.php", route: "message_limit = \"1KiB\"\ncompression = true"}, "5.limit-packed")
	packed := stack.DialOptions{Compress: true}
	inflates := w.dial("", packed)
	inflates.Send(strings.Repeat("x", 1<<20)) // a kilobyte of frame
	inflates.ExpectClose(1009)
	w.counted("message_limit", 1)
	comes := w.dial("", packed)
	comes.Raw(stack.ClientFrame(0xc2, make([]byte, 2<<10)))
	comes.ExpectClose(1009)
	w.counted("message_limit", 2)
}

func TestMessagesBeyondTheBacklogAreNotReadYet(t *testing.T) {
	w := start(t, setup{script: "slow.php", options: stack.GatewayOptions{Limits: "backlog = 1\nmessages_per_second = 0"}}, "5.limit-backlog")
	c := w.open()
	c.Send("gate")
	for range 3 {
		c.Send("0")
	}
	stack.Wait(t, "it to be counted", func() bool { return w.Metric(t, "wsfpm_limits_reached_total", `limit="backlog"`) >= 1 })
	openGate(t, w.dir, "gate")
	for _, text := range []string{"gate", "0", "0", "0"} {
		c.Expect("slept " + text)
	}
}

func TestLimitsOfAPoolAreCounted(t *testing.T) {
	t.Run("pool_share", func(t *testing.T) {
		w := start(t, setup{script: "slow.php", options: stack.GatewayOptions{FPMLines: "max_connections = 2\nmax_idle = 2"}}, "5.limit-share")
		from := func(address string) *stack.Client {
			return w.dial("", stack.DialOptions{Header: http.Header{"X-Forwarded-For": {address}}})
		}
		greedy := []*stack.Client{from("192.0.2.1"), from("192.0.2.1"), from("192.0.2.1")}
		other := from("192.0.2.2")
		held := func(inUse, waiting float64) func() bool {
			return func() bool {
				return w.Metric(t, "wsfpm_fpm_in_use") == inUse && w.Metric(t, "wsfpm_fpm_waiting") == waiting
			}
		}
		stack.Wait(t, "the connect events to be over", held(0, 0))
		for _, c := range greedy {
			c.Send("gate")
		}
		stack.Wait(t, "one of them to wait", held(2, 1))
		other.Send("1")
		stack.Wait(t, "the other to wait", held(2, 2))
		openGate(t, w.dir, "gate")
		other.Expect("slept 1")
		for _, c := range greedy {
			c.Expect("slept gate")
		}
		equal(t, "passed over", w.Metric(t, "wsfpm_fpm_passed_over_total"), 1)
	})
	t.Run("queue_wait", func(t *testing.T) {
		w := start(t, setup{script: "slow.php", options: stack.GatewayOptions{FPMLines: "max_connections = 1\nqueue_wait = \"50ms\""}}, "5.limit-wait")
		c, other := w.open(), w.open()
		c.Send("gate")
		stack.Wait(t, "it to run", func() bool { return w.Metric(t, "wsfpm_fpm_in_use") == 1 })
		other.Send("1")
		stack.Wait(t, "the other to be counted", func() bool { return w.Metric(t, "wsfpm_fpm_shed_total") == 1 })
		openGate(t, w.dir, "gate")
		c.Expect("slept gate")
	})
	t.Run("max_streams", func(t *testing.T) {
		w := start(t, setup{script: streamScript, options: stack.GatewayOptions{FPMLines: "max_connections = 4\nmax_streams = 1"}}, "5.limit-streams")
		c, other := w.open(), w.open()
		c.Send("s 10000 50") // until it is cut
		stack.Wait(t, "it to run", func() bool { return w.Metric(t, "wsfpm_fpm_streams") == 1 })
		other.Send("s 1")
		stack.Wait(t, "the other to be counted", func() bool { return w.Metric(t, "wsfpm_fpm_streams_refused_total") == 1 })
		c.Cut()
	})
}

func TestLimitsOfTimeAndNumberAreCounted(t *testing.T) {
	w := start(t, setup{script: whoScript, options: stack.GatewayOptions{Limits: "channels = 1\nmessages_per_second = 2\nburst = 1\nidle = \"1s\""}}, "5.limit-counted")
	c := w.open()
	c.Next()
	c.Send("WS-Join: a,b")
	w.counted("channels", 1)
	c.Send("X-A: b")
	c.Send("X-A: b")
	c.Expect("ok")
	c.Expect("ok")
	if n := w.Metric(t, "wsfpm_limits_reached_total", `limit="messages_per_second"`); n < 1 || n > 3 {
		t.Errorf("%v messages waited, want at least the last", n)
	}
	c.ExpectClose(1001)
	w.counted("idle", 1)
}

// TestSilentClientsAreCounted leaves a client that answers no ping.
func TestSilentClientsAreCounted(t *testing.T) {
	w := start(t, setup{script: "echo.php", options: stack.GatewayOptions{Limits: "ping_interval = \"50ms\"\npong_timeout = \"100ms\""}}, "5.pong")
	conn := stack.RawDial(t, w.Listen, "/ws")
	defer conn.Close()
	w.counted("pong_timeout", 1)
}
