package contract

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// teller is a script whose clients say in a message which headers it sends, and whose
// body. Clients are in the channel room, and the user of ?user=. A message that begins with
// XADD is appended to the log by phpredis, its fields a line each.
const teller = `
	if ($_SERVER['WS_EVENT'] === 'connect') {
		header('WS-Join: room');
		header('WS-User: ' . ($_GET['user'] ?? '7'));
		if (isset($_GET['publish'])) { header('WS-Publish: ' . $_GET['publish']); echo 'entered'; }
		exit;
	}
	if ($_SERVER['WS_EVENT'] !== 'message') exit;
	$said = file_get_contents('php://input');
	if (str_starts_with($said, 'XADD')) {
		[, $door, $address, $key, $fields] = explode("\n", $said, 5);
		$r = new Redis();
		$r->connect(explode(':', $address)[0], (int) explode(':', $address)[1]);
		$list = array_map('rawurldecode', explode("\n", $fields));
		if ($door === 'raw') {
			echo $r->rawCommand('XADD', $key, '*', ...$list);
			exit;
		}
		$r->setOption(Redis::OPT_SERIALIZER, $door === 'json' ? Redis::SERIALIZER_JSON : Redis::SERIALIZER_PHP);
		$pairs = [];
		for ($i = 0; $i < count($list); $i += 2) $pairs[$list[$i]] = $list[$i + 1];
		echo $r->xAdd($key, '*', $pairs);
		exit;
	}
	[$head, $body] = explode("\n\n", $said, 2) + [1 => ''];
	foreach (array_filter(explode("\n", $head), 'strlen') as $line) header($line, false);
	echo $body;`

// storing is a node with its own Redis.
type storing struct {
	*world
	redis *stack.RedisServer
}

// startStoring runs a node with a Redis of its own. Lines are further tables of the file.
func startStoring(t *testing.T, route, lines string, rows ...string) *storing {
	t.Helper()
	stack.Integration(t)
	s := &storing{redis: stack.Redis(t, stack.RedisOptions{})}
	s.world = start(t, setup{script: teller, route: route, options: stack.GatewayOptions{
		Redis: s.redis.URL(), RedisTOML: "confirm = \"10s\"\n" + lines, Limits: "messages_per_second = 0",
	}}, rows...)
	return s
}

// xadd has PHP append fields to the log, and returns the receipt.
func (s *storing) xadd(c *stack.Client, door string, fields ...string) string {
	s.t.Helper()
	for i, f := range fields {
		fields[i] = strings.NewReplacer("%", "%25", "\n", "%0A", "\x00", "%00", "\xff", "%FF").Replace(f)
	}
	c.Send(strings.Join(append([]string{"XADD", door, s.redis.Addr, "ws:log"}, fields...), "\n"))
	id := string(c.Next().Data)
	if milli, seq, ok := strings.Cut(id, "-"); !ok || milli == "" || seq == "" {
		s.t.Fatalf("the receipt is %q", id)
	}
	return id
}

func TestWhatPHPAppendsReachesTheClientsOfEveryNode(t *testing.T) {
	s := startStoring(t, "", "", "3.log", "3.log-to", "3.log-except", "3.log-data", "3.log-close")
	other := s.second(t, "other")
	publisher, a, b := s.dial("?user=publisher", stack.DialOptions{}), s.dial("?user=a", stack.DialOptions{}), other.dial("?user=b", stack.DialOptions{})
	for i := range 20 {
		s.xadd(publisher, "raw", "to", "user:a, user:b,channel:room", "except", "user:publisher", "data", fmt.Sprint("message ", i))
	}
	for i := range 20 {
		a.Expect(fmt.Sprint("message ", i))
		b.Expect(fmt.Sprint("message ", i))
	}
	s.xadd(publisher, "raw", "to", "user:b", "binary", "\x00\xff")
	b.ExpectBinary([]byte{0, 255})
	s.xadd(publisher, "raw", "to", "user:b", "data", "bye", "close", "4001 signed out")
	b.Expect("bye")
	if reason := b.ExpectClose(4001); reason != "signed out" {
		t.Errorf("the reason is %q", reason)
	}
	s.redis.Do(t, "xadd", "ws:log", "*", "to", "all", "data", "to all")
	a.Expect("to all")
	publisher.Expect("to all")
}

func TestABadMessageOfTheLogIsDroppedWithItsCause(t *testing.T) {
	s := startStoring(t, "", "push_limit = 10\n[durable]\nmemory = 10000\n", "3.log-bad", "3.log-encoded")
	c := s.open()
	for i, tt := range []struct {
		door   string
		fields []string
		reason string
		cause  string
	}{
		{"php", []string{"to", "user:7", "data", "x"}, "encoded", "OPT_SERIALIZER writes it (PHP)"},
		{"json", []string{"to", "user:7", "data", "x"}, "encoded", "OPT_SERIALIZER writes it (JSON)"},
		{"raw", []string{"to", "nowhere", "data", "x"}, "to", "nowhere"},
		{"raw", []string{"to", "all", "except", "channel:a", "data", "x"}, "except", "conn: and user:"},
		{"raw", []string{"to", "all", "data", ""}, "empty", "json_encode"},
		{"raw", []string{"to", "all", "data", "\xff"}, "not_utf8", "OPT_COMPRESSION"},
		{"raw", []string{"to", "all", "data", "12345678901"}, "too_large", "push limit"},
		{"raw", []string{"to", "all", "text", "x"}, "field", "text"},
		{"raw", []string{"to", "all", "close", "99"}, "close", "99"},
	} {
		before := s.Metric(t, "wsfpm_log_bad_total", "reason", tt.reason)
		s.xadd(c, tt.door, tt.fields...)
		stack.Wait(t, "counted as "+tt.reason, func() bool { return s.Metric(t, "wsfpm_log_bad_total", "reason", tt.reason) == before+1 })
		if i < 5 { // later ones in the same second may be left out
			s.AwaitLog(t, "warn", "entry of the log dropped", tt.cause)
		}
	}
	s.redis.Do(t, "xadd", "ws:log", "*", "to", "all", "data", "good")
	c.Expect("good")
}

func TestAnswersAndPushesGoThroughTheLog(t *testing.T) {
	s := startStoring(t, "", "", "3.log-answer", "3.log-together", "3.log-reply", "3.log-push", "3.log-cli", "3.log-command")
	c := s.open()
	s.redis.Do(t, "config", "resetstat")
	c.Send("WS-Publish: channel:room; durable\n\none")
	c.Expect("one")
	c.Send("Content-Type: application/vnd.wsfpm+json\n\n" +
		`[{"to":"channel:room","data":"two","durable":true},{"to":"user:7","data":"three","durable":true},{"data":"reply"}]`)
	for _, want := range []string{"reply", "two", "three"} {
		c.Expect(want)
	}
	if n := s.redis.Do(t, "xlen", "ws:log"); n != "4" { // the first gives the log a position
		t.Errorf("the log has %s entries, want 4", n)
	}
	stats := s.redis.Do(t, "info", "commandstats")
	if !strings.Contains(stats, "cmdstat_multi:calls=1,") || !strings.Contains(stats, "cmdstat_xadd:calls=3,") {
		t.Errorf("not one MULTI: %s", stats)
	}
	status, body := s.Push(t, `[{"to":"user:7","data":"pushed","durable":true},{"to":"user:none","data":"x"}]`)
	if status != 200 || !strings.Contains(body, `"delivered":1,"ids":["`) {
		t.Errorf("push: got %d %s", status, body)
	}
	c.Expect("pushed")
	out, code := stack.Command(t, "push", "--config", s.Config, "--durable", "user:7", "by hand")
	if code != 0 || !strings.HasPrefix(out, "stored as ") {
		t.Errorf("wsfpm push: %d, %s", code, out)
	}
	c.Expect("by hand")
	s.redis.Publish(t, "ws:command", `{"to":"user:7","data":"command","durable":true}`)
	c.Expect("command")
	s.AwaitLog(t, "warn", "unknown field", "durable")
}

func TestOnARouteThatResumesAnswersGoThroughTheLog(t *testing.T) {
	s := startStoring(t, "resume = true", "", "3.log-route")
	c := s.open()
	stored := func() float64 { return s.Metric(t, "wsfpm_log_appended_total") }
	for _, tt := range []struct {
		answer string
		stored float64
	}{
		{"WS-Publish: channel:room\n\nx", 1},
		{"WS-Publish: channel:room; fast\n\nx", 0},
		{"Content-Type: application/vnd.wsfpm+json\n\n" + `{"to":"user:7","data":"x"}`, 1},
		{"Content-Type: application/vnd.wsfpm+json\n\n" + `{"to":"user:7","data":"x","durable":false}`, 0},
		{"Content-Type: application/vnd.wsfpm+json\n\n" + `{"to":"user:7","data":"x","join":"other"}`, 0},
	} {
		before := stored()
		c.Send(tt.answer)
		c.Expect("x")
		if got := stored() - before; got != tt.stored {
			t.Errorf("%q: %v were stored, want %v", tt.answer, got, tt.stored)
		}
	}
}

func TestAnAnswerThatIsNotStoredFails(t *testing.T) {
	s := startStoring(t, "on_error = \"message\"\nerror_message = \"failed\"", "", "3.log-failed", "3.log-failed-connect")
	c := s.open()
	s.redis.Do(t, "acl", "setuser", "default", "-xadd")
	c.Send("WS-User: other\nWS-Publish: channel:room; durable\n\nx")
	c.Expect("failed")
	s.AwaitLog(t, "warn", "it is not stored")
	if got := s.refused("?publish=channel:room;%20durable", stack.DialOptions{}); got.Status != 503 {
		t.Errorf("got %d, want 503", got.Status)
	}
	s.redis.Do(t, "acl", "setuser", "default", "+xadd")
	c.Send("WS-Publish: user:7; durable\n\nstill user 7")
	c.Expect("still user 7")
	if n := s.redis.Do(t, "xlen", "ws:log"); n != "2" {
		t.Errorf("the log has %s entries, want 2", n)
	}
}

func TestAfterATimeoutAnAnswerMayBeStored(t *testing.T) {
	s := startStoring(t, "on_error = \"message\"\nerror_message = \"failed\"", "", "3.log-failed")
	s.Edit(t, `confirm = "10s"`, `confirm = "300ms"`)
	s.Restart(t)
	c := s.open()
	c.Send("WS-Publish: channel:room; durable\n\nfirst")
	c.Expect("first") // over a connection that the next one uses too
	s.redis.Pause()
	c.Send("WS-Publish: channel:room; durable\n\nlate")
	c.Expect("failed")
	s.redis.Resume()
	s.AwaitLog(t, "warn", "it may be stored all the same")
	c.Expect("late")
}

func TestTheLogIsBoundedByWhatNodesHold(t *testing.T) {
	s := startStoring(t, "", "push_limit = \"100KiB\"\n[durable]\nmemory = \"1MiB\"\n", "3.log-bounds", "5.durable-memory")
	large := strings.Repeat("x", 90<<10)
	for range 100 {
		s.redis.Do(t, "xadd", "ws:log", "*", "to", "user:none", "data", large)
	}
	stack.Wait(t, "all are read", func() bool { return s.Metric(t, "wsfpm_log_read_total") >= 100 })
	if n := s.Metric(t, "wsfpm_log_bytes"); n > 1<<20 || n < 800<<10 {
		t.Errorf("the log has %v bytes in memory", n)
	}
	stack.Wait(t, "the stream is trimmed", func() bool {
		s.redis.Do(t, "xadd", "ws:log", "*", "to", "user:none", "data", "x")
		return len(s.redis.Do(t, "xlen", "ws:log")) < 3
	})
	if text, code := checkFile(t, s.ConfigText(t)+"\n", "--set", "durable.memory=399KiB"); code == 0 || !strings.Contains(text, "durable.memory") {
		t.Errorf("check: %d, %s", code, text)
	}
}

func TestKeepIsByTheMessagesOwnTime(t *testing.T) {
	s := startStoring(t, "", "[durable]\nkeep = \"1m\"\n", "3.log-bounds", "5.durable-keep")
	s.Stop(t)
	s.redis.Do(t, "del", "ws:log")
	now := time.Now().UnixMilli()
	for _, ago := range []int64{62_000, 61_000, 50_000} {
		s.redis.Do(t, "xadd", "ws:log", fmt.Sprint(now-ago, "-0"), "to", "user:none", "data", "x")
	}
	s.Start(t)
	equal(t, "messages of the last minute before the newest", s.Metric(t, "wsfpm_log_entries"), 3)
	s.redis.Do(t, "xadd", "ws:log", "*", "to", "user:none", "data", "x")
	stack.Wait(t, "the first two are dropped", func() bool { return s.Metric(t, "wsfpm_log_entries") == 2 })
}

func TestWithKeepZeroThereIsNoLog(t *testing.T) {
	s := startStoring(t, "on_error = \"message\"\nerror_message = \"failed\"", "[durable]\nkeep = 0\n", "5.durable-keep")
	c := s.open()
	c.Send("WS-Publish: channel:room; durable\n\nx")
	c.Expect("failed")
	s.AwaitLog(t, "error", "durable.keep is 0")
	if s.redis.Do(t, "exists", "ws:log") != "0" {
		t.Error("there is a stream")
	}
	if status, body := s.Push(t, `{"to":"user:7","data":"x","durable":true}`); status != 400 || !strings.Contains(body, "durable.keep is 0") {
		t.Errorf("push: %d %s", status, body)
	}
}

func TestTheStreamHasTheConfiguredKey(t *testing.T) {
	s := startStoring(t, "", "[durable]\nstream = \"shop:events\"\ntag = \"none\"\n", "5.durable-stream", "5.durable-tag")
	c := s.open()
	s.redis.Do(t, "xadd", "shop:events", "*", "to", "all", "data", "x")
	c.Expect("x")
	if _, body := s.Push(t, `{"to":"all","data":"y","durable":true}`); !strings.Contains(body, `-0"]}`) {
		t.Errorf("the position has a tag: %s", body)
	}
}

func TestNoMoreThanReplayMessagesAreSentLater(t *testing.T) {
	s := startStoring(t, "resume = true", "[durable]\nreplay = 2\n", "5.durable-replay", "7.most")
	wrapped := stack.DialOptions{Protocols: []string{"wsfpm.v1"}}
	first := s.dial("", wrapped)
	first.Next() // hello
	at := decode[struct{ ID string }](t, first.Next().Data).ID
	first.Close(1000, "")
	for _, tt := range []struct{ resume string }{{"ok"}, {"ok"}, {"gap"}} {
		s.redis.Do(t, "xadd", "ws:log", "*", "to", "channel:room", "data", "x")
		stack.Wait(t, "read", func() bool { return s.Metric(t, "wsfpm_log_lag_seconds") >= 0 && s.logged(t) })
		c := s.dial("?ws_last="+at, wrapped)
		if hello := string(c.Next().Data); !strings.Contains(hello, `"resume":"`+tt.resume+`"`) {
			t.Errorf("got %s, want %s", hello, tt.resume)
		}
		c.Close(1000, "")
	}
}

// logged reports whether the node has read the whole log.
func (s *storing) logged(t *testing.T) bool {
	return fmt.Sprint(s.Metric(t, "wsfpm_log_entries")) == s.redis.Do(t, "xlen", "ws:log")
}
