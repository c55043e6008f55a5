package contract

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

func TestAReplyThatJoinedIsFollowedByEveryPush(t *testing.T) {
	link := stack.Proxy(t, shared.redis.Addr)
	link.Delay(20 * time.Millisecond)
	w := start(t, setup{script: "chatty.php", options: stack.GatewayOptions{Redis: "redis://" + link.Addr + "/0"}}, "2.promise-join", "3.fast-count")
	w.prefix = "ws:"
	for i := range 10 {
		c := w.open()
		room := fmt.Sprintf("slow-link-%d-%d", w.PID(), i)
		say(c, "joined", "WS-Join: "+room)
		c.Expect("joined")
		equal(t, "subscribers", w.publish("channel:"+room, "push"), 1)
		c.Expect("push")
		say(c, "left", "WS-Leave: "+room)
		c.Expect("left")
	}
}

func TestAReplyGoesOutWhenRedisIsDeaf(t *testing.T) {
	redis := stack.Redis(t, stack.RedisOptions{})
	w := start(t, setup{script: "chatty.php", options: stack.GatewayOptions{Redis: redis.URL(), RedisTOML: `confirm = "200ms"`}}, "2.promise-join-redis-down")
	c := w.open()
	redis.Pause()
	defer redis.Resume()
	began := time.Now()
	say(c, "joined", "WS-Join: a")
	c.Expect("joined")
	if took := time.Since(began); took < 150*time.Millisecond || took > stack.Bound(3*time.Second) {
		t.Errorf("the reply came after %v, want about 200ms", took)
	}
	if n := w.Metric(t, "wsfpm_joins_unconfirmed_total"); n < 1 {
		t.Errorf("wsfpm_joins_unconfirmed_total: got %v, want 1", n)
	}
	equal(t, "/ready is green", w.Ready(), false)
	redis.Resume()
	stack.Wait(t, "/ready after Redis woke", w.Ready)
	redis.Publish(t, "ws:channel:a", "now")
	c.Expect("now")
}

func TestAReplyPrecedesThePushesOfItsOwnAnswer(t *testing.T) {
	w := start(t, setup{script: "chatty.php", redis: true}, "2.promise-reply-first")
	c := w.dial("?h[]=WS-Join:a", stack.DialOptions{})
	for i := range 30 {
		say(c, fmt.Sprintf(`[{"to":"channel:a","data":"push %d"},{"data":"reply %d"}]`, i, i), "Content-Type: application/vnd.wsfpm+json")
		c.Expect(fmt.Sprint("reply ", i))
		c.Expect(fmt.Sprint("push ", i))
	}
}

func TestBehindASlowHandlerPingsAreAnswered(t *testing.T) {
	w := start(t, setup{script: "slow.php", options: stack.GatewayOptions{Limits: "ping_interval = \"100ms\"\npong_timeout = \"200ms\""}}, "2.promise-slow", "5.ping")
	c := w.open()
	c.Send("gate")
	c.Send("0")
	ctx, cancel := context.WithTimeout(t.Context(), stack.Patience)
	defer cancel()
	if err := c.Conn.Ping(ctx); err != nil {
		t.Errorf("a ping during a running handler: %v", err)
	}
	openGate(t, w.dir, "gate")
	c.Expect("slept gate")
	c.Expect("slept 0")
}

func TestBeyondTheBacklogThePongDeadlineIsSuspended(t *testing.T) {
	w := start(t, setup{script: "slow.php", options: stack.GatewayOptions{
		Limits: "ping_interval = \"100ms\"\npong_timeout = \"200ms\"\nmessages_per_second = 0\nbacklog = 2"}}, "2.promise-backlog")
	c := w.open()
	c.Send("900")
	for range 10 {
		c.Send("1")
	}
	c.Expect("slept 900")
	for range 10 {
		c.Expect("slept 1")
	}
}

func TestTheBacklogIsBounded(t *testing.T) {
	w := start(t, setup{script: `if ($_SERVER['WS_EVENT'] === 'message') { sleep(30); }`, route: `message_limit = "1MiB"`}, "2.promise-slow", "2.promise-backlog")
	conn := stack.RawDial(t, w.Listen, "/ws")
	frame := stack.ClientFrame(0x81, make([]byte, 100<<10))
	sent := 0
	for ; sent < 2000; sent++ {
		conn.SetWriteDeadline(time.Now().Add(400 * time.Millisecond))
		if _, err := conn.Write(frame); err != nil {
			break
		}
	}
	if sent >= 2000 {
		t.Error("the gateway read 200 MB during a running handler")
	}
	if held := w.Metric(t, "wsfpm_inbound_bytes"); held > 1<<20 {
		t.Errorf("wsfpm_inbound_bytes: got %v, want the handler's message and 256 KiB", held)
	}
}

func TestSendSendCloseLosesNothing(t *testing.T) {
	w := start(t, setup{script: "slow.php"}, "2.promise-close")
	for i := range 3 {
		c := w.open()
		c.Send("50")
		for range 10 {
			c.Send("0")
		}
		c.Raw(stack.ClientFrame(0x88, []byte{0x03, 0xe8}))
		w.trace.Await(t, "disconnect", i+1)
		equal(t, "messages handled", len(w.trace.Of("message")), 11*(i+1))
	}
}

func TestABrokenConnectionDropsWhatWaits(t *testing.T) {
	w := start(t, setup{script: "slow.php"}, "2.promise-broken")
	c := w.open()
	c.Send("gate")
	for range 5 {
		c.Send("0")
	}
	stack.Wait(t, "the first message to run", func() bool { return w.Metric(t, "wsfpm_fpm_in_use") == 1 })
	// The ping's answer proves that the messages before it were read.
	ctx, cancel := context.WithTimeout(t.Context(), stack.Patience)
	defer cancel()
	if err := c.Conn.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	c.Cut()
	stack.Wait(t, "the end to be noticed", func() bool { return w.Metric(t, "wsfpm_connections") == 0 })
	openGate(t, w.dir, "gate")
	w.trace.Await(t, "disconnect", 1)
	equal(t, "messages handled", len(w.trace.Of("message")), 1)
	equal(t, "wsfpm_messages_dropped_total", w.Metric(t, "wsfpm_messages_dropped_total"), 5)
}

func TestMessagesAndConnectsTakeTurns(t *testing.T) {
	w := start(t, setup{script: "slow.php", options: stack.GatewayOptions{FPMLines: "max_connections = 1\nqueue_wait = \"30s\""}}, "2.queues")
	var clients []*stack.Client
	for range 12 {
		clients = append(clients, w.open())
	}
	clients[0].Send("gate")
	stack.Wait(t, "the pool to be taken", func() bool { return w.Metric(t, "wsfpm_fpm_in_use") > 0 })
	for _, c := range clients[1:] {
		c.Send("20")
	}
	for range 4 {
		go stack.Handshake(t, w.Listen, "/ws?late=1")
	}
	stack.Wait(t, "all to wait", func() bool { return w.Metric(t, "wsfpm_fpm_waiting") == 15 })
	openGate(t, w.dir, "gate")
	for _, c := range clients {
		c.Next()
	}
	var order string
	late := 0
	for _, e := range w.trace.Events() {
		if e.Get["late"] != nil && e.Var("WS_EVENT") == "connect" {
			order += "c"
			late++
		} else if e.Var("WS_EVENT") == "message" && string(e.Body) == "20" {
			order += "m"
		}
	}
	first := strings.Index(order, "c")
	if late == 0 || first < 0 || first > 5 || strings.Contains(order, "cc") && strings.Contains(strings.SplitN(order, "cc", 2)[1], "m") {
		t.Errorf("order %s: want a connect after about every third message", order)
	}
}

func TestDisconnectsGetOneWorkerOfSixteen(t *testing.T) {
	w := start(t, setup{script: "slow.php", options: stack.GatewayOptions{FPMLines: "max_connections = 1\nqueue_wait = \"30s\""}}, "2.queues", "2.queue-floor")
	var clients []*stack.Client
	for range 40 {
		clients = append(clients, w.open())
	}
	leavers := []*stack.Client{w.open(), w.open()}
	clients[0].Send("gate")
	stack.Wait(t, "the pool to be taken", func() bool { return w.Metric(t, "wsfpm_fpm_in_use") > 0 })
	for _, c := range leavers {
		c.Close(1000, "")
	}
	for _, c := range clients[1:] {
		c.Send("1")
	}
	stack.Wait(t, "all to wait", func() bool { return w.Metric(t, "wsfpm_fpm_waiting") == 40 })
	openGate(t, w.dir, "gate")
	for _, c := range clients {
		c.Next()
	}
	w.trace.Await(t, "disconnect", 2)
	var order string
	for _, e := range w.trace.Events() {
		if e.Var("WS_EVENT") == "message" && string(e.Body) == "1" {
			order += "m"
		} else if e.Var("WS_EVENT") == "disconnect" {
			order += "d"
		}
	}
	first, second := strings.Index(order, "d"), strings.LastIndex(order, "d")
	if first > 15 || second-first != 16 {
		t.Errorf("order %s: want a disconnect within sixteen events, and the other sixteen later", order)
	}
}

func TestOneUserLeavesHalfThePoolToOthers(t *testing.T) {
	w := start(t, setup{script: "slow.php", route: "", scripts: map[string]string{"in.php": `
		require __DIR__ . '/slow.php'; if ($_SERVER['WS_EVENT'] === 'connect') header('WS-User: ' . $_GET['u']);`},
		options: stack.GatewayOptions{FPMLines: "max_connections = 4\nqueue_wait = \"30s\"", Routes: "[[route]]\npath = \"/in\"\nscript = \"$DIR/in.php\"\nparams = { TRACE = \"$TRACE\" }\n"}}, "2.pool-share")
	var greedy []*stack.Client
	for range 12 {
		greedy = append(greedy, stack.Dial(t, w.URL+"/in?u=greedy", stack.DialOptions{}))
	}
	modest := stack.Dial(t, w.URL+"/in?u=modest", stack.DialOptions{})
	for i, c := range greedy {
		c.Send(fmt.Sprint("gate", i))
		stack.Wait(t, "the message to run or wait", func() bool {
			return w.Metric(t, "wsfpm_fpm_in_use")+w.Metric(t, "wsfpm_fpm_waiting") == float64(i+1)
		})
	}
	modest.Send("1")
	stack.Wait(t, "the modest user to wait too", func() bool { return w.Metric(t, "wsfpm_fpm_waiting") == 9 })
	openGate(t, w.dir, "gate0")
	modest.Expect("slept 1") // or a greedy message would hold the slot, and wait for its gate
	for i, c := range greedy {
		openGate(t, w.dir, fmt.Sprint("gate", i))
		c.Next()
	}
}

func TestAnEventWaitsAtMostQueueWait(t *testing.T) {
	w := start(t, setup{script: "slow.php", route: "on_error = \"close\"", options: stack.GatewayOptions{FPMLines: "max_connections = 1\nqueue_wait = \"200ms\""}}, "2.queue-wait", "2.close-codes-own")
	a, b := w.open(), w.open()
	a.Send("5000")
	stack.Wait(t, "the slow message to run", func() bool { return w.Metric(t, "wsfpm_fpm_in_use") > 0 })
	b.Send("0")
	b.ExpectClose(1013) // long before the slow one ends
	a.Cut()
}

// closeCode reads a server's frames until its Close frame, and returns the code.
func closeCode(t *testing.T, conn net.Conn) int {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(stack.Patience))
	for {
		var head [2]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			t.Fatalf("read a frame: %v", err)
		}
		size := int64(head[1])
		if size == 126 {
			var n [2]byte
			io.ReadFull(conn, n[:])
			size = int64(binary.BigEndian.Uint16(n[:]))
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(conn, payload); err != nil {
			t.Fatalf("read a frame: %v", err)
		}
		if head[0]&0x0f == 8 {
			return int(binary.BigEndian.Uint16(payload))
		}
	}
}

func TestCloseCodesOfOurOwn(t *testing.T) {
	w := start(t, setup{script: "chatty.php", route: "message_limit = \"1KiB\"\non_error = \"close\""}, "2.close-codes-own", "5.message-limit")
	for name, test := range map[string]struct {
		frame []byte
		code  int
	}{
		"reserved opcode":    {stack.ClientFrame(0x83, nil), 1002},
		"reserved bit":       {stack.ClientFrame(0xc1, []byte("x")), 1002},
		"not UTF-8":          {stack.ClientFrame(0x81, []byte("a\xff")), 1007},
		"too big":            {stack.ClientFrame(0x81, make([]byte, 1025)), 1009},
		"the handler failed": {stack.ClientFrame(0x81, []byte("status:500\n\nx")), 1011},
	} {
		conn := stack.RawDial(t, w.Listen, "/ws")
		conn.Write(test.frame)
		equal(t, name, closeCode(t, conn), test.code)
	}
	c := w.open()
	c.Send("X-A: " + strings.Repeat("x", 1017) + "\n\n") // just fits
	settle(t, c)
}
