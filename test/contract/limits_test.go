package contract

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

func TestConnectionLimits(t *testing.T) {
	w := start(t, setup{script: "echo.php", options: stack.GatewayOptions{Limits: "connections = 5\nconnections_per_address = 2"}},
		"5.limit-connections", "5.limit-address")
	from := func(address string) stack.DialOptions {
		return stack.DialOptions{Header: http.Header{"X-Forwarded-For": {address}}}
	}
	first := w.dial("", from("192.0.2.1"))
	w.dial("", from("192.0.2.1"))
	if got := w.refused("", from("192.0.2.1")); got.Status != 429 && got.Status != 503 {
		t.Errorf("the third of one address: got %d, want 429", got.Status)
	}
	w.dial("", from("2001:db8:1:2::1"))
	w.dial("", from("2001:db8:1:2:ffff::2"))
	if got := w.refused("", from("2001:db8:1:2:3::3")); got.Status != 429 && got.Status != 503 {
		t.Errorf("the third of one /64: got %d, want 429", got.Status)
	}
	w.dial("", from("2001:db8:1:3::1"))
	equal(t, "the sixth of all", w.refused("", from("192.0.2.9")).Status, 503)
	w.counted("connections", 1)
	w.counted("connections_per_address", 2)
	first.Close(1000, "")
	stack.Wait(t, "a free place", func() bool { return w.Metric(t, "wsfpm_connections") == 4 })
	w.dial("", from("192.0.2.1"))
}

func TestMessagesBeyondTheRateWait(t *testing.T) {
	w := start(t, setup{script: "echo.php", options: stack.GatewayOptions{Limits: "messages_per_second = 20\nburst = 5"}}, "5.limit-rate")
	c := w.open()
	began := time.Now()
	for i := range 15 {
		c.Send(fmt.Sprint(i))
	}
	for i := range 15 {
		c.Expect(fmt.Sprint(i))
	}
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("15 messages took %v, want about half a second", took)
	}
}

func TestASlowReaderIsClosed(t *testing.T) {
	t.Parallel()
	for limit, limits := range map[string]string{
		"queue":         "queue = \"64KiB\"\nwrite_timeout = \"5s\"",
		"write_timeout": "queue = 0\nqueue_messages = 0\nwrite_timeout = \"300ms\"",
	} {
		t.Run(limit, func(t *testing.T) {
			w := start(t, setup{script: whoScript, options: stack.GatewayOptions{Limits: limits}},
				"5.limit-queue", "5.write-timeout", "2.close-codes-own")
			w.dial("?h[]=WS-Join:c", stack.DialOptions{Deaf: true})
			fine := w.dial("?h[]=WS-Join:c", stack.DialOptions{})
			fine.Next()
			payload := strings.Repeat("x", 60<<10)
			sent := 0
			stack.Wait(t, "the slow reader to be found", func() bool {
				w.Push(t, `{"to":"channel:c","data":"`+payload+`"}`)
				sent++
				return w.Metric(t, "wsfpm_limits_reached_total", `limit="`+limit+`"`) == 1
			})
			stack.WaitWithin(t, 2*stack.Patience, "its end", func() bool {
				return w.Metric(t, "wsfpm_connections_closed_total", `code="4408"`) == 1
			})
			for range sent {
				fine.Expect(payload)
			}
			equal(t, "connections", w.Metric(t, "wsfpm_connections"), 1)
		})
	}
}

func TestASlowReaderIsClosedForTheNumberOfItsPushes(t *testing.T) {
	t.Parallel()
	w := start(t, setup{script: whoScript, options: stack.GatewayOptions{Limits: "queue = 0\nqueue_messages = 5\nwrite_timeout = \"5s\""}}, "5.limit-queue-messages")
	w.dial("?h[]=WS-Join:c", stack.DialOptions{Deaf: true})
	payload := strings.Repeat("x", 60<<10)
	stack.Wait(t, "the slow reader to be closed", func() bool {
		w.Push(t, `{"to":"channel:c","data":"`+payload+`"}`)
		return w.Metric(t, "wsfpm_limits_reached_total", `limit="queue_messages"`) == 1
	})
	stack.WaitWithin(t, 2*stack.Patience, "its end", func() bool {
		return w.Metric(t, "wsfpm_connections_closed_total", `code="4408"`) == 1
	})
}

func TestABurstDoesNotCloseAReaderThatMayHaveLittleWaiting(t *testing.T) {
	w := start(t, setup{script: whoScript, options: stack.GatewayOptions{Limits: "queue = \"100B\"\nqueue_messages = 1"}}, "5.limit-queue-burst")
	c := w.dial("?h[]=WS-Join:c", stack.DialOptions{})
	c.Next()
	const bursts, each = 10, 50
	for burst := range bursts {
		commands := make([]string, each)
		for i := range commands {
			commands[i] = fmt.Sprintf(`{"to":"channel:c","data":"%d of burst %d"}`, i, burst)
		}
		w.Push(t, "["+strings.Join(commands, ",")+"]")
		for i := range each {
			c.Expect(fmt.Sprintf("%d of burst %d", i, burst))
		}
	}
	w.counted("queue", 0)
	w.counted("queue_messages", 0)
}

func TestAReplyMayExceedTheQueue(t *testing.T) {
	w := start(t, setup{script: `if ($_SERVER['WS_EVENT'] === 'message') echo str_repeat('x', 5 << 20);`,
		options: stack.GatewayOptions{Limits: `queue = "64KiB"`}}, "5.limit-queue")
	c := w.open()
	for range 2 {
		c.Send("x")
		equal(t, "bytes", len(c.Next().Data), 5<<20)
	}
}

func TestInboundMemory(t *testing.T) {
	w := start(t, setup{script: "slow.php", route: `message_limit = "1MiB"`, options: stack.GatewayOptions{Limits: "inbound_memory = \"2MiB\""}}, "5.inbound-memory")
	for range 8 {
		conn := stack.RawDial(t, w.Listen, "/ws")
		go func() {
			conn.SetWriteDeadline(time.Now().Add(time.Second))
			frame := stack.ClientFrame(0x82, make([]byte, 1<<20))
			conn.Write(frame[:len(frame)-10]) // never whole
		}()
	}
	deadline := time.Now().Add(time.Second)
	most := 0.0
	for time.Now().Before(deadline) {
		most = max(most, w.Metric(t, "wsfpm_inbound_bytes"))
	}
	// One message at a time may go beyond: else messages that have begun and fill the
	// memory between them would wait for each other for ever.
	if most > 3<<20 {
		t.Errorf("wsfpm_inbound_bytes: got %v, want at most 2 MiB and one message", most)
	}
	if n := w.Metric(t, "wsfpm_limits_reached_total", `limit="inbound_memory"`); n == 0 {
		t.Error("no wait for memory was counted")
	}
	if most < 64<<10 {
		t.Errorf("wsfpm_inbound_bytes: got %v, want it to count what is being received", most)
	}
}

func TestMessagesThatStallDelayNoOtherClient(t *testing.T) {
	t.Parallel()
	w := start(t, setup{script: "echo.php", options: stack.GatewayOptions{Limits: "inbound_memory = \"256KiB\""}},
		"5.inbound-small", "5.inbound-stalled", "5.inbound-wait")
	frame := stack.ClientFrame(0x82, make([]byte, 60<<10))
	closed := make(chan []byte, 8)
	for range cap(closed) {
		conn := stack.RawDial(t, w.Listen, "/ws")
		conn.SetDeadline(time.Now().Add(stack.Patience))
		go conn.Write(frame[:len(frame)-10]) // never whole
		go func() {
			head := make([]byte, 4)
			io.ReadFull(conn, head)
			closed <- head
		}()
	}
	stack.Wait(t, "a wait for memory", func() bool { return w.Metric(t, "wsfpm_limits_reached_total", `limit="inbound_memory"`) > 0 })
	c := w.open()
	c.Send("small")
	c.Expect("small")
	large := strings.Repeat("x", 60<<10) // waits for its memory, and is not to blame
	c.Send(large)
	c.Expect(large)
	if n := w.Metric(t, "wsfpm_messages_evicted_total"); n == 0 {
		t.Error("no message gave way")
	}
	if head := <-closed; head[0] != 0x88 || int(head[2])<<8|int(head[3]) != 1013 {
		t.Errorf("the first client whose message stalls got % x, want Close 1013", head)
	}
}

func TestPingAndPong(t *testing.T) {
	w := start(t, setup{script: "trace.php", options: stack.GatewayOptions{Limits: "ping_interval = \"100ms\"\npong_timeout = \"300ms\""}}, "5.ping", "5.pong")
	healthy := w.open() // answers pings while it reads
	conn := stack.RawDial(t, w.Listen, "/ws")
	conn.SetReadDeadline(time.Now().Add(stack.Patience))
	var head [2]byte
	if _, err := conn.Read(head[:]); err != nil || head[0] != 0x89 {
		t.Errorf("got %x, %v, want a ping", head, err)
	}
	e := w.trace.Await(t, "disconnect", 1)[0]
	equal(t, "WS_CLOSE_CODE of a client that is gone", e.Var("WS_CLOSE_CODE"), "1006")
	healthy.ExpectNothing(quiet)
}

func TestOutboundMemory(t *testing.T) {
	w := start(t, setup{script: `if ($_SERVER['WS_EVENT'] === 'message') echo str_repeat('x', (int)file_get_contents('php://input'));`,
		options: stack.GatewayOptions{Limits: `outbound_memory = "16MiB"`}}, "5.outbound-memory", "5.outbound-slowest")
	full := func() bool { return w.Metric(t, "wsfpm_limits_reached_total", `limit="outbound_memory"`) >= 3 }
	for range 5 {
		conn := stack.RawDial(t, w.Listen, "/ws") // and never reads
		conn.Write(stack.ClientFrame(0x81, []byte(fmt.Sprint(14<<20))))
	}
	stack.Wait(t, "the slowest to be closed", full)
	if held := w.Metric(t, "wsfpm_outbound_bytes"); held > 2*16<<20 {
		t.Errorf("wsfpm_outbound_bytes: got %v, want 16 MiB and one reply at most", held)
	}
	if n := w.Metric(t, "wsfpm_slow_readers_total"); n < 3 {
		t.Errorf("wsfpm_slow_readers_total: got %v, want at least 3", n)
	}
	c := w.open()
	c.Send("3")
	c.Expect("xxx")
}

func TestAPushThatManyWaitForCountsOnce(t *testing.T) {
	t.Parallel()
	const clients = 20
	w := start(t, setup{script: `if ($_SERVER['WS_EVENT'] === 'connect') header('WS-Join: all'); else echo str_repeat('x', 5 << 20);`,
		options: stack.GatewayOptions{Limits: "queue = \"64MiB\"\nwrite_timeout = \"0s\""}}, "5.outbound-shared")
	for range clients {
		conn := stack.RawDial(t, w.Listen, "/ws")
		conn.Write(stack.ClientFrame(0x81, []byte("fill"))) // and never reads
	}
	waiting := func() float64 { return w.Metric(t, "wsfpm_outbound_bytes") }
	stack.Wait(t, "all to be full", func() bool { return waiting() >= clients*5<<20 })
	before := waiting()
	w.Push(t, `{"to": "channel:all", "data": "`+strings.Repeat("y", 1<<19)+`"}`)
	stack.Wait(t, "the push to wait", func() bool { return waiting() >= before+1<<19 })
	if more := waiting() - before; more > 1<<20 {
		t.Errorf("a push of 512 KiB to %d clients counts %v bytes", clients, more)
	}
}

// readSlowly takes so many bytes of the answer to a message, a part of them every tenth of
// a second, on a new connection. It fails the test if that does not succeed, or the gateway
// misses a pong meanwhile, and tries again if the machine paused for as long as this reader may.
func readSlowly(t *testing.T, w *world, bytes, part int64, may time.Duration) (rest net.Conn) {
	t.Helper()
	missed := func() float64 { return w.Metric(t, "wsfpm_pongs_missed_total") }
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for range 5 {
		conn := stack.RawDial(t, w.Listen, "/ws")
		conn.Write(stack.ClientFrame(0x81, []byte("x")))
		conn.SetReadDeadline(time.Now().Add(stack.Patience))
		left, paused, already := bytes, time.Duration(0), missed()
		for before := time.Now(); left > 0; left -= part {
			<-pace.C
			paused, before = max(paused, time.Since(before)), time.Now()
			if _, err := io.CopyN(io.Discard, conn, min(part, left)); err != nil {
				t.Logf("%d bytes before the end, after a pause of %v: %v", left, paused, err)
				break
			}
		}
		if left <= 0 && missed() == already {
			return conn
		}
		if paused < may/2 {
			t.Fatalf("lost, although this reader never paused for more than %v", paused)
		}
	}
	t.Fatal("the machine pauses for seconds")
	return nil
}

func TestASteadyReaderIsNotTooSlow(t *testing.T) {
	t.Parallel()
	w := start(t, setup{script: `if ($_SERVER['WS_EVENT'] === 'message') echo str_repeat('x', 8 << 20);`,
		options: stack.GatewayOptions{Limits: `write_timeout = "3s"`}}, "5.write-progress")
	conn := readSlowly(t, w, 1<<20, 24<<10, 3*time.Second) // longer than the timeout
	if _, err := io.CopyN(io.Discard, conn, 7<<20); err != nil {
		t.Error(err)
	}
}

func TestAPongIsNotExpectedBeforeThePingCanBeRead(t *testing.T) {
	t.Parallel()
	const size = 2 << 20 // less than the system takes at once
	w := start(t, setup{script: `if ($_SERVER['WS_EVENT'] === 'message') echo str_repeat('x', 2 << 20);`,
		options: stack.GatewayOptions{Limits: "ping_interval = \"1s\"\npong_timeout = \"3s\"\nwrite_timeout = \"3s\""}}, "5.pong-after-data")
	// It reads for twice the timeout. If it waits longer for the answer, a ping may come before that.
	readSlowly(t, w, size, 32<<10, time.Second)
}

func TestALimitOfZeroIsNone(t *testing.T) {
	Row(t, "5.limit-zero")
	for _, key := range []string{"connections", "connections_per_address", "messages_per_second", "queue", "write_timeout", "inbound_memory", "ping_interval", "pong_timeout", "channels"} {
		value := "0"
		if strings.HasSuffix(key, "timeout") || strings.HasSuffix(key, "interval") {
			value = `"0s"`
		}
		if out, code := checkFile(t, soundFile+"[limits]\n"+key+" = "+value+"\n"); code != 0 {
			t.Errorf("limits.%s = 0: got exit code %d: %s", key, code, out)
		}
	}
}

func TestConnectionsEndByTheirAge(t *testing.T) {
	for row, test := range map[string]struct {
		limits string
		code   int
	}{
		"5.lifetime": {"lifetime = \"500ms\"", 1012},
		"5.idle":     {"idle = \"500ms\"", 1001},
	} {
		t.Run(row, func(t *testing.T) {
			w := start(t, setup{script: "echo.php", options: stack.GatewayOptions{Limits: test.limits}}, row)
			began := time.Now()
			c := w.open()
			c.ExpectClose(test.code)
			w.counted(strings.TrimPrefix(row, "5."), 1)
			if took := time.Since(began); took < 450*time.Millisecond {
				t.Errorf("closed after %v, want 500ms give or take a tenth", took)
			}
		})
	}
}

func TestARouteCompresses(t *testing.T) {
	w := start(t, setup{script: "echo.php", route: "compression = true"}, "5.compression")
	c := w.dial("", stack.DialOptions{Compress: true})
	want := "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	equal(t, "the extension", c.Response.Header.Get("Sec-WebSocket-Extensions"), want)
	long := strings.Repeat("again and again ", 2000)
	before := w.Metric(t, "wsfpm_message_bytes_total", `direction="out"`)
	c.Send(long)
	c.Expect(long)
	if sent := w.Metric(t, "wsfpm_message_bytes_total", `direction="out"`) - before; sent > 1000 {
		t.Errorf("%v bytes went out for a message that shrinks to a few", sent)
	}
	plain := w.open()
	equal(t, "the extension for who offers none", plain.Response.Header.Get("Sec-WebSocket-Extensions"), "")
}
