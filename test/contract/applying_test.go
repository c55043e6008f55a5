package contract

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

func TestNothingOfAMalformedAnswerIsApplied(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "2.all-or-nothing", "2.failure")
	c, other := w.open(), w.dial("?h[]=WS-Join:a", stack.DialOptions{})
	rejected(t, c, "WS-User: 7", "WS-Join: b", "WS-State: s", "WS-Publish: channel:a", "WS-Close: 9999")
	say(c, `[{"to":"channel:a","data":"x"},{"to":"unknown","data":"x"}]`, "Content-Type: application/vnd.wsfpm+json", "WS-User: 7")
	settle(t, c)
	last := w.trace.Of("message")
	e := last[len(last)-1]
	equal(t, "user, channels and state", e.Var("WS_USER")+e.Var("WS_CHANNELS")+e.Var("WS_STATE"), "")
	other.ExpectNothing(quiet)
}

// flood publishes numbered payloads to a channel until the function it returns is called.
func flood(t *testing.T, w *world, channel string) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	client := shared.redis.Client(t)
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			client.Publish(ctx, w.prefix+"channel:"+channel, "push")
		}
	}()
	return func() { cancel(); <-done }
}

func TestNoPushComesBeforeTheAnswerThatJoined(t *testing.T) {
	w := start(t, setup{script: "chatty.php", redis: true}, "2.one-step", "2.promise-join")
	w.dial("?h[]=WS-Join:busy", stack.DialOptions{})
	defer flood(t, w, "busy")()
	for range 15 {
		c := w.open()
		say(c, "joined", "WS-Join: busy")
		c.Expect("joined")
		c.Expect("push")
		say(c, "left", "WS-Leave: busy")
		for f := c.Next(); string(f.Data) != "left"; f = c.Next() {
		}
		c.ExpectNothing(10 * time.Millisecond)
		c.Conn.CloseNow()
	}
}

func TestOthersGetTheirMessagesBeforeTheClose(t *testing.T) {
	w := start(t, setup{script: `
		if ($_SERVER['WS_EVENT'] === 'connect') header('WS-Join: room');
		if ($_SERVER['WS_EVENT'] === 'message') { header('WS-Publish: channel:room'); header('WS-Close: 4001 done'); echo 'I go'; }`, redis: true},
		"2.effects-then-close")
	a, b := w.open(), w.open()
	a.Send("x")
	b.Expect("I go")
	a.Expect("I go")
	a.ExpectClose(4001)
}

const streamScript = `
if ($_SERVER['WS_EVENT'] === 'connect') exit;
if ($_SERVER['WS_EVENT'] === 'disconnect') exit;
[$what, $n, $ms] = explode(' ', file_get_contents('php://input')) + [1 => 0, 2 => 0];
if ($what === 'say') { echo "user={$_SERVER['WS_USER']}"; exit; }
header('Content-Type: application/x-ndjson');
register_shutdown_function(fn() => file_put_contents(__DIR__ . '/ended', 'yes'));
if ($what === 'user') header('WS-User: streamer');
if ($what === 'publish') header('WS-Publish: all');
for ($i = 0; $i < $n; $i++) {
	echo "line $i\n"; @ob_flush(); flush();
	file_put_contents(__DIR__ . '/count', "$i " . connection_aborted());
	while ($what === 'user' && !file_exists(__DIR__ . '/first-line-came')) usleep(5000);
	usleep(1000 * $ms);
}
if ($what === 'die') nonsense();
if ($what === 'tail') echo 'no newline';`

func TestAStreamIsSentAsItComes(t *testing.T) {
	w := start(t, setup{script: streamScript}, "2.stream", "2.stream-apply", "2.stream-publish")
	c := w.open()
	c.Send("user 3")
	c.Expect("line 0") // the script waits for it
	if err := os.WriteFile(w.dir+"/first-line-came", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c.Expect("line 1")
	c.Expect("line 2")
	c.Send("tail 1")
	c.Expect("line 0")
	c.Expect("no newline")
	c.Send("publish 1")
	c.Send("say")
	c.Expect("user=streamer")
}

func TestAStreamThatEndsBadly(t *testing.T) {
	w := start(t, setup{script: streamScript, route: "on_error = \"message\"\nerror_message = \"sorry\"\ntimeout = \"2s\"",
		options: stack.GatewayOptions{FPMLines: "max_connections = 6\nmax_streams = 3", Routes: "[[route]]\npath = \"/whole\"\nscript = \"$DIR/ws.php\"\ntimeout = \"2s\"\nstream_timeout = \"500ms\"\non_error = \"message\"\nerror_message = \"sorry\"\n"}},
		"2.stream-cut", "2.stream-timeout", "2.on-error-message")
	c := w.open()
	c.Send("die 2")
	c.Expect("line 0")
	c.Expect("line 1")
	c.Expect("sorry")
	c.Send("silent 1 6000")
	c.Expect("line 0")
	c.Expect("sorry")
	c.Send("fine 5 600") // longer than timeout in all, never silent that long
	for i := range 5 {
		c.Expect(fmt.Sprint("line ", i))
	}
	c = stack.Dial(t, w.URL+"/whole", stack.DialOptions{})
	c.Send("long 50 50")
	n := 0
	for f := c.Next(); string(f.Data) != "sorry"; f = c.Next() {
		n++
	}
	if n < 1 || n > 40 {
		t.Errorf("got %d of 50 lines that take 2.5s, want those of the first 500ms", n)
	}
}

func TestStreamsHaveABound(t *testing.T) {
	w := start(t, setup{script: streamScript, options: stack.GatewayOptions{FPMLines: "max_connections = 4\nmax_streams = 1\nqueue_wait = \"5s\""}}, "2.max-streams")
	a, b, c := w.open(), w.open(), w.open()
	a.Send("s 8 50")
	a.Expect("line 0")
	b.Send("s 1")
	c.Send("say")
	c.Expect("user=")
	b.ExpectNothing(quiet)
	for i := range 7 {
		a.Expect(fmt.Sprint("line ", i+1))
	}
}

func TestPHPStopsWhenTheStreamsClientGoes(t *testing.T) {
	w := start(t, setup{script: streamScript}, "2.stream-gone")
	c := w.open()
	c.Send("s 200 20")
	c.Expect("line 0")
	c.Cut()
	stack.Wait(t, "the script to stop", func() bool { return readFile(w.dir+"/ended") != "" })
	last := readFile(w.dir + "/count")
	if strings.HasPrefix(last, "199") {
		t.Errorf("the script ran to its end: %q", last)
	}
	w.trace.Await(t, "disconnect", 1)
}

func TestAPublishReachesEveryNodeOnceAndInOneOrder(t *testing.T) {
	s := setup{script: "chatty.php", redis: true, options: stack.GatewayOptions{Node: "one"}}
	one := start(t, s, "2.publish-once", "2.publish-order")
	two := one.second(t, "two")
	clients := []*stack.Client{
		one.dial("?h[]=WS-Join:room", stack.DialOptions{}), one.dial("?h[]=WS-Join:room", stack.DialOptions{}),
		two.dial("?h[]=WS-Join:room", stack.DialOptions{}), two.dial("?h[]=WS-Join:room", stack.DialOptions{}),
	}
	const each = 15
	for i := range each {
		say(clients[0], fmt.Sprint("a", i), "WS-Publish: channel:room")
		say(clients[2], fmt.Sprint("b", i), "WS-Publish: channel:room")
	}
	var orders []string
	for _, c := range clients {
		var order []string
		for range 2 * each {
			order = append(order, string(c.Next().Data))
		}
		orders = append(orders, strings.Join(order, " "))
		checkOrder(t, order, "a", each)
		checkOrder(t, order, "b", each)
	}
	for i := range orders {
		equal(t, fmt.Sprint("order of client ", i), orders[i], orders[0])
	}
	for _, c := range clients {
		c.ExpectNothing(quiet / 4)
	}
}

// checkOrder wants sender0, sender1 … in that order among the messages.
func checkOrder(t *testing.T, got []string, sender string, n int) {
	t.Helper()
	next := 0
	for _, m := range got {
		if strings.HasPrefix(m, sender) {
			if m != fmt.Sprint(sender, next) {
				t.Fatalf("got %s, want %s%d: %v", m, sender, next, got)
			}
			next++
		}
	}
	equal(t, "messages of "+sender, next, n)
}

func TestAPlainReplyNeverTouchesRedis(t *testing.T) {
	redis := stack.Redis(t, stack.RedisOptions{})
	w := start(t, setup{script: "echo.php", options: stack.GatewayOptions{Redis: redis.URL(), RedisTOML: `confirm = "5m"`}}, "2.reply-no-redis")
	c := w.open()
	redis.Pause()
	defer redis.Resume()
	for range 5 {
		c.Send("x")
		c.Expect("x")
	}
}

func TestWithoutRedisCommandsAreAppliedHere(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "2.publish-local", "3.no-redis")
	a, b := w.open(), w.dial("?h[]=WS-Join:a&h[]=WS-User:b", stack.DialOptions{})
	say(a, "hello", "WS-Publish: channel:a")
	b.Expect("hello")
	say(a, `{"to":"user:b","data":"x","close":{"code":4002,"reason":"out"}}`, "Content-Type: application/vnd.wsfpm+json")
	b.Expect("x")
	b.ExpectClose(4002)
	w.pushed(`{"to":"all","data":"p"}`, 1)
	a.Expect("p")
}
