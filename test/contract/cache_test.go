package contract

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// vault answers a message as the message says: its first line is its name, each further one
// a header or a word. The answer is new with each run. A client is what X-As says: headers of
// its connect answer, with | between them.
const vault = `
	if ($_SERVER['WS_EVENT'] === 'connect') {
		foreach (array_filter(explode('|', $_SERVER['HTTP_X_AS'] ?? '')) as $line) header($line, false);
		exit;
	}
	if ($_SERVER['WS_EVENT'] !== 'message') exit;
	$lines = explode("\n", file_get_contents('php://input'));
	$answer = array_shift($lines) . ' ' . bin2hex(random_bytes(8));
	foreach ($lines as $line) {
		[$word, $with] = explode(' ', $line, 2) + [1 => ''];
		switch ($word) {
		case '': break;
		case 'status': http_response_code((int) $with); break;
		case 'session': session_cache_limiter('public'); session_cache_expire((int) $with); session_start(); break;
		case 'bom': $answer = "\xef\xbb\xbf" . $answer; break;
		case 'nothing': $answer = ''; break;
		case 'command': header('Content-Type: application/vnd.wsfpm+json'); $answer = json_encode(['data' => $answer]); break;
		case 'fail': throw new Exception('failed');
		case 'until': while (!file_exists(__DIR__ . "/$with")) { usleep(2000); clearstatcache(); } break;
		default: header($line, false);
		}
	}
	echo $answer;`

// public is the header of an answer for all.
const public = "\nCache-Control: public, max-age=60"

// sharing runs a node whose route has a cache.
func sharing(t *testing.T, s setup, rows ...string) *world {
	t.Helper()
	if s.script == "" {
		s.script = vault
	}
	if !strings.Contains(s.route, "cache =") {
		s.route = "cache = \"1MiB\"\n" + s.route
	}
	s.options.Limits += "\nmessages_per_second = 0\nconnections_per_address = 0"
	if s.options.FPMLines == "" {
		s.options.FPMLines = "max_connections = 16\nmax_idle = 16\n"
	}
	return start(t, s, rows...)
}

// askFor sends a message and returns the answer.
func askFor(c *stack.Client, message string) string {
	c.Send(message)
	return string(c.Next().Data)
}

// known makes a message one whose answers are shared, and returns the stored one.
func (w *world) known(message string) string {
	w.t.Helper()
	c := w.open()
	first, second, third := askFor(c, message), askFor(c, message), askFor(c, message)
	if first == second || second != third {
		w.t.Fatalf("got %q, %q and %q, want the second one stored", first, second, third)
	}
	return third
}

// ran are the runs of a message that has this name.
func (w *world) ran(name string) (n int) {
	for _, e := range w.trace.Of("message") {
		if strings.HasPrefix(string(e.Body)+"\n", name+"\n") {
			n++
		}
	}
	return n
}

func (w *world) purge(command string) {
	w.t.Helper()
	w.pushed(command, 0)
}

// asking counts the messages that have come to the cache.
func (w *world) asking(outcome string) float64 {
	return w.Metric(w.t, "wsfpm_cache_messages_total", fmt.Sprintf("outcome=%q", outcome))
}

func TestAnAnswerForAllIsGivenToOthers(t *testing.T) {
	w := sharing(t, setup{}, "2.cache", "2.cache-second", "2.cache-key", "5.cache", "4.purge")
	stored := w.known("prices" + public)
	for range 3 {
		equal(t, "another client", askFor(w.dial("", stack.DialOptions{Cookie: "a=b", Header: map[string][]string{"Accept-Language": {"de"}}}), "prices"+public), stored)
	}
	equal(t, "runs", w.ran("prices"), 2)
	equal(t, "hits", w.asking("hit"), 4.0)
	w.purge(`{"purge":"/ws"}`)
	if got := askFor(w.open(), "prices"+public); got == stored {
		t.Error("the purge dropped nothing")
	}
	stored = askFor(w.open(), "prices"+public)
	status, body := w.Push(t, `[{"purge":"/ws"},{"purge":["/wss"]}]`)
	if Row(t, "4.purge-unknown"); status != 400 || !strings.Contains(body, "no route") {
		t.Errorf("a purge of an unknown path: got %d %s", status, body)
	}
	equal(t, "after it", askFor(w.open(), "prices"+public), stored)
	w.purge(`[{"purge":"/ws"},{"purge":["/ws","*"]}]`)
	if got := askFor(w.open(), "prices"+public); got == stored {
		t.Error("the purge of everything dropped nothing")
	}
	w = start(t, setup{script: vault}, "5.cache")
	c := w.open()
	if a, b, d := askFor(c, "prices"+public), askFor(c, "prices"+public), askFor(c, "prices"+public); a == b || b == d {
		t.Error("an answer was kept without the key")
	}
}

func TestAnAnswerIsKeptForItsTime(t *testing.T) {
	w := sharing(t, setup{}, "2.cache-age")
	const short = "short\nCache-Control: public, max-age=1"
	stored := w.known(short)
	c := w.open()
	stack.Wait(t, "the end of max-age", func() bool { return askFor(c, short) != stored })
}

// A thousand clients ask the same at once, after an answer was stored: PHP runs once.
func TestAThousandClientsAskAtOnceAndPHPRunsOnce(t *testing.T) {
	w := sharing(t, setup{}, "2.cache-wait", "2.cache-leave")
	const n = 1000
	message := "crowd\nuntil gate" + public
	openGate(t, w.dir, "gate")
	w.known(message)
	clients := make([]*stack.Client, n)
	for i := range clients {
		clients[i] = w.open()
	}
	if err := os.Remove(filepath.Join(w.dir, "gate")); err != nil {
		t.Fatal(err)
	}
	w.purge(`{"purge":"/ws"}`)
	first := w.open()
	first.Send(message)
	stack.Wait(t, "the run to begin", func() bool { return w.asking("miss") == 3 })
	first.Cut() // its run goes on
	for _, c := range clients {
		c.Send(message)
	}
	stack.Wait(t, "all messages to be received", func() bool { return w.Metric(t, "wsfpm_messages_total", `direction="in"`) >= n+4 })
	openGate(t, w.dir, "gate")
	answers := make(map[string]int)
	for _, c := range clients {
		answers[string(c.Next().Data)]++
	}
	equal(t, "different answers", len(answers), 1)
	equal(t, "runs", w.ran("crowd"), 3)
}

// Eight private messages at once are in PHP at once, as without the cache: each run ends
// when all have met there, or gives up and says that it was alone.
func TestPrivateAnswersRunTogether(t *testing.T) {
	const meeting = `
		if ($_SERVER['WS_EVENT'] !== 'message') exit;
		$n = (int) @file_get_contents(__DIR__ . '/private');
		header($n ? 'Cache-Control: private' : 'Cache-Control: public, max-age=60');
		file_put_contents(__DIR__ . '/in', '.', FILE_APPEND | LOCK_EX);
		for ($i = 0; $n && filesize(__DIR__ . '/in') < $n; $i++) {
			if ($i === 30000) exit('alone');
			usleep(1000); clearstatcache();
		}
		echo bin2hex(random_bytes(8));`
	w := sharing(t, setup{script: meeting}, "2.cache-private")
	if err := os.Chmod(w.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	clients := make([]*stack.Client, 8)
	for i := range clients {
		clients[i] = w.open()
	}
	in := 0 // runs so far
	private := func(others int) {
		in += others
		if err := os.WriteFile(filepath.Join(w.dir, "private"), []byte(fmt.Sprint(in)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	meet := func(text string) {
		private(len(clients))
		for _, c := range clients {
			c.Send(text)
		}
		answers := make(map[string]bool)
		for _, c := range clients {
			answers[string(c.Next().Data)] = true
		}
		if len(answers) != len(clients) || answers["alone"] {
			t.Errorf("%s: got %d different answers to %d messages: %v", text, len(answers), len(clients), answers)
		}
	}
	w.known("was shared")
	in = 2
	meet("never shared")
	private(1)
	w.purge(`{"purge":"/ws"}`)
	askFor(clients[0], "was shared") // marks the key
	meet("was shared")
}

func TestAfterAFailureAnotherRuns(t *testing.T) {
	const once = `
		if ($_SERVER['WS_EVENT'] !== 'message') exit;
		header('Cache-Control: public, max-age=60');
		if (file_exists(__DIR__ . '/hold')) {
			while (!file_exists(__DIR__ . '/gate')) { usleep(2000); clearstatcache(); }
			if (@mkdir(__DIR__ . '/first')) throw new Exception('a failure');
		}
		echo bin2hex(random_bytes(8));`
	w := sharing(t, setup{script: once, route: "on_error = \"message\"\nerror_message = \"failed\"\n"}, "2.cache-failure")
	w.known("x")
	openGate(t, w.dir, "hold")
	w.purge(`{"purge":"/ws"}`)
	if err := os.Chmod(w.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	var clients []*stack.Client
	for range 10 {
		clients = append(clients, w.open())
	}
	for _, c := range clients {
		c.Send("x")
	}
	stack.Wait(t, "all messages to be received", func() bool { return w.Metric(t, "wsfpm_messages_total", `direction="in"`) == 13 })
	openGate(t, w.dir, "gate")
	answers := make(map[string]int)
	for _, c := range clients {
		answers[string(c.Next().Data)]++
	}
	if answers["failed"] != 1 || len(answers) != 2 {
		t.Errorf("got %v, want one failure and one answer for all others", answers)
	}
	equal(t, "runs", len(w.trace.Of("message")), 4)
}

func TestAWaitForAnothersRunIsBounded(t *testing.T) {
	w := sharing(t, setup{route: "on_error = \"message\"\nerror_message = \"failed\"\n",
		options: stack.GatewayOptions{FPMLines: "max_connections = 8\nqueue_wait = \"200ms\"\n"}}, "2.cache-wait")
	message := "long\nuntil gate" + public
	openGate(t, w.dir, "gate")
	w.known(message)
	if err := os.Remove(filepath.Join(w.dir, "gate")); err != nil {
		t.Fatal(err)
	}
	w.purge(`{"purge":"*"}`)
	runner, other := w.open(), w.open()
	runner.Send(message)
	stack.Wait(t, "the run to begin", func() bool { return w.asking("miss") == 3 })
	equal(t, "the other", askFor(other, message), "failed")
	openGate(t, w.dir, "gate")
	runner.Next()
	w.AwaitLog(t, "warn", "event failed", "overloaded", "another client")
}

func TestAHitKeepsItsPlaceAmongReplies(t *testing.T) {
	w := sharing(t, setup{}, "2.cache-order")
	stored := w.known("prices" + public)
	c := w.open()
	c.Send("slow\nuntil gate")
	c.Send("prices" + public)
	w.open().Send("other" + public) // a message that came later, of another client
	stack.Wait(t, "both to be received", func() bool { return w.asking("miss") == 4 })
	openGate(t, w.dir, "gate")
	if got := string(c.Next().Data); !strings.HasPrefix(got, "slow ") {
		t.Errorf("got %q before the reply to the first message", got)
	}
	c.Expect(stored)
	env := w.dial("", stack.DialOptions{Protocols: []string{"wsfpm.v1"}})
	env.Next() // the hello
	for range 2 {
		env.Send(`{"id":"k1","data":"envelope\nCache-Control: public, max-age=60"}`)
		env.Next()
	}
	env.Send(`{"data":"envelope\nCache-Control: public, max-age=60"}`)
	plain := string(env.Next().Data)
	env.Send(`{"id":"k2","data":"envelope\nCache-Control: public, max-age=60"}`)
	env.Expect(`{"re":"k2",` + strings.TrimPrefix(plain, "{"))
	equal(t, "runs", w.ran("envelope"), 2)
}

func TestTheCacheIsChecked(t *testing.T) {
	Row(t, "5.cache", "5.cache-key", "5.cache-max-age")
	for lines, want := range map[string]string{
		`cache = "1KiB"`:                           "write at least 256KiB",
		`cache_key = ["cookie"]`:                   "cache_key",
		"cache = \"1MiB\"\ncache_max_age = \"0s\"": "nothing would be kept",
	} {
		if out, code := checkConfig(t, lines); code == 0 || !strings.Contains(out, want) {
			t.Errorf("%s: got %d %s, want %q", lines, code, out, want)
		}
	}
	if out, code := checkConfig(t, "cache = \"1MiB\"\ncache_key = [\"state\"]"); code != 0 || !strings.Contains(out, "users share answers") {
		t.Errorf("got %d %s", code, out)
	}
	pool := filepath.Join(t.TempDir(), "ws.conf")
	text := "[ws]\nlisten = /run/php/php-fpm.sock\npm = static\npm.max_children = 9\nphp_admin_value[session.cache_limiter] = public\n"
	if err := os.WriteFile(pool, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _ := checkFile(t, "[fpm.default]\naddress = \"unix:/run/php/php-fpm.sock\"\n[[route]]\npath = \"/ws\"\nscript = \"/srv/ws.php\"\ncache = \"1MiB\"\n", "--fpm-pool", pool)
	if !strings.Contains(out, "session.cache_limiter of [ws] is public") {
		t.Errorf("got %s", out)
	}
}
