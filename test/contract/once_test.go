package contract

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// pay is a script of user 42, or of ?user=. A message is what it does: one word, then its
// argument.
const pay = `
	if ($_SERVER['WS_EVENT'] === 'connect') {
		if (($_GET['user'] ?? '42') !== '') header('WS-User: ' . ($_GET['user'] ?? '42'));
		exit;
	}
	if ($_SERVER['WS_EVENT'] !== 'message') exit;
	[$do, $with] = explode(' ', file_get_contents('php://input'), 2) + [1 => ''];
	$done = 'attempt ' . ($_SERVER['WS_ATTEMPT'] ?? '-') . ' of ' . ($_SERVER['WS_MESSAGE_ID'] ?? '-') . ', seq ' . $_SERVER['WS_SEQ'];
	if (($_SERVER['WS_ATTEMPT'] ?? '1') === '2' && $do !== 'status') exit($done);
	switch ($do) {
	case 'join':
		header('Content-Type: application/vnd.wsfpm+json');
		exit(json_encode([['join' => ['paid'], 'data' => $done], ['to' => 'channel:watch', 'data' => $done]]));
	case 'status': http_response_code((int) $with); exit($done);
	case 'header': header($with); exit($done);
	case 'large': exit(str_repeat('x', 2000));
	case 'stream': header('Content-Type: application/x-ndjson'); exit("one\ntwo");
	case 'fatal': null_function();
	case 'kill': posix_kill(getmypid(), 9); sleep(9);
	case 'sleep': usleep((int) $with * 1000); exit($done);
	case 'until': while (!file_exists($with)) usleep(10000); exit($done);
	}
	echo $done;`

// paying runs a node whose route runs messages once.
func paying(t *testing.T, route string, rows ...string) *world {
	t.Helper()
	return start(t, setup{script: pay, redis: true, route: "once = \"4s\"\ntimeout = \"2s\"\nonce_answer = \"1KiB\"\n" + route,
		options: stack.GatewayOptions{Limits: "messages_per_second = 0"}}, rows...)
}

// payer connects a client of wsfpm.v1 and checks whether its hello lets it send again: once follows the text of user.
func (w *world) payer(query string, once bool) *stack.Client {
	w.t.Helper()
	c := w.dial(query, stack.DialOptions{Protocols: []string{"wsfpm.v1"}})
	text := string(c.Next().Data)
	if has := strings.Contains(text, `","once":{"for":4,"most":10}}}`); has != once {
		w.t.Fatalf("hello %s: it lets the client send again: got %v, want %v", text, has, once)
	}
	return c
}

// sendOnce sends a message with an id and wants the replies, in which $ is the id.
func sendOnce(c *stack.Client, id, data string, replies ...string) {
	c.Send(fmt.Sprintf(`{"id":%q,"data":%q}`, id, data))
	for _, want := range replies {
		c.Expect(strings.ReplaceAll(want, "$", id))
	}
}

func TestAMessageSentAgainRunsOnce(t *testing.T) {
	w := paying(t, "", "9.hello", "9.again", "9.user", "9.replies-only", "9.mismatch", "9.php", "1.ws-opcode-seq", "5.once", "5.once-answer")
	other := w.second(t, "other")
	watch := w.payer("?user=watch", true)
	w.pushed(`{"to": "user:watch", "join": ["watch"]}`, 1)
	c := w.payer("", true)
	want := `{"re":"$","data":"attempt 1 of $, seq 1"}`
	sendOnce(c, "k7", "join", want)
	watch.Expect(`{"data":"attempt 1 of k7, seq 1"}`)
	sendOnce(c, "k7", "join", want)
	c.Cut()
	d := other.payer("", true)
	sendOnce(d, "k7", "join", want)
	sendOnce(d, "k7", "other", `{"re":"$","error":"mismatch"}`)
	sendOnce(d, "k8", "plain", `{"re":"$","data":"attempt 1 of $, seq 3"}`)
	d.Send(`{"data":"plain"}`)
	d.Expect(`{"data":"attempt - of -, seq 4"}`)
	w.pushed(`{"to": "channel:paid", "data": "x"}`, 0)
	sendOnce(w.payer("?user=43", true), "k7", "plain", `{"re":"$","data":"attempt 1 of $, seq 1"}`)
	equal(t, "messages that reached PHP", len(w.trace.Of("message")), 4)
	w.pushed(`{"to": "channel:watch", "data": "end"}`, 1)
	watch.Expect(`{"data":"end"}`) // and nothing published again
}

func TestWithoutAUserOrTheKeyAMessageRunsAgain(t *testing.T) {
	w := paying(t, "", "9.off")
	c := w.payer("?user=", false)
	sendOnce(c, "k7", "plain", `{"re":"$","data":"attempt - of -, seq 1"}`)
	sendOnce(c, "k7", "plain", `{"re":"$","data":"attempt - of -, seq 2"}`)
	w = start(t, setup{script: pay, redis: true}, "9.off")
	c = w.payer("", false)
	sendOnce(c, "k7", "plain", `{"re":"$","data":"attempt - of -, seq 1"}`)
	sendOnce(c, "k7", "plain", `{"re":"$","data":"attempt - of -, seq 2"}`)
}

func TestARepetitionWaitsForTheReply(t *testing.T) {
	w := paying(t, "", "9.wait", "9.busy")
	other := w.second(t, "other")
	gate := w.dir + "/gate"
	a, b, c := w.payer("", true), w.payer("", true), other.payer("", true)
	a.Send(fmt.Sprintf(`{"id":"k7","data":%q}`, "until "+gate))
	w.trace.Await(t, "message", 1)
	a.Cut()
	sendOnce(b, "k7", "until "+gate)
	sendOnce(c, "k7", "until "+gate)
	openGate(t, w.dir, "gate")
	b.Expect(`{"re":"k7","data":"attempt 1 of k7, seq 1"}`)
	c.Expect(`{"re":"k7","data":"attempt 1 of k7, seq 1"}`)
	b.Send(`{"id":"k8","data":"sleep 1900"}`)
	w.trace.Await(t, "message", 2)
	equal(t, "messages that reached PHP", len(w.trace.Of("message")), 2)
	b.Expect(`{"re":"k8","data":"attempt 1 of k8, seq 2"}`)
}

func TestAFailureSaysWhetherPHPMayHaveRun(t *testing.T) {
	w := paying(t, "", "9.failed", "9.unknown", "9.unknown-second", "9.second-stays", "9.first", "9.unkept", "9.stream")
	c := w.payer("", true)
	second := `{"re":"$","data":"attempt 2 of $, seq `
	for i, each := range []struct {
		do    string
		first []string
		again string
	}{
		{"status 422", []string{`{"re":"$","error":"failed"}`}, `{"re":"$","error":"failed"}`},
		{"status 503", []string{`{"re":"$","error":"failed"}`}, `{"re":"$","error":"failed"}`},
		{"status 302", []string{`{"re":"$","error":"unknown"}`}, `{"re":"$","error":"unknown"}`},
		{"header WS-Nonsense: 1", []string{`{"re":"$","error":"unknown"}`}, second},
		{"fatal", []string{`{"re":"$","error":"unknown"}`}, second},
		{"kill", []string{`{"re":"$","error":"unknown"}`}, second},
		{"sleep 2500", []string{`{"re":"$","error":"unknown"}`}, second},
		{"large", []string{`{"re":"$","kept":false,"data":"` + strings.Repeat("x", 2000) + `"}`}, `{"re":"$","kept":false}`},
		{"stream", []string{`{"re":"$","more":true,"data":"one"}`, `{"re":"$","more":true,"data":"two"}`, `{"re":"$","kept":false}`}, `{"re":"$","kept":false}`},
	} {
		id := fmt.Sprint("k", i)
		sendOnce(c, id, each.do, each.first...)
		if each.again == second {
			each.again += fmt.Sprintf(`%d"}`, 2*i+2)
		}
		sendOnce(c, id, each.do, each.again)
	}
	attempts := map[string]string{}
	for _, e := range w.trace.Of("message") {
		attempts[e.Var("WS_MESSAGE_ID")] += e.Var("WS_ATTEMPT")
	}
	for i, want := range []string{"11", "11", "12", "12", "12", "12", "12", "1", "1"} {
		equal(t, fmt.Sprint("attempts of message ", i), attempts[fmt.Sprint("k", i)], want)
	}
	sendOnce(c, "k9", "fatal", `{"re":"$","error":"unknown"}`)
	equal(t, "attempts", w.trace.Await(t, "message", 17)[16].Var("WS_ATTEMPT"), "1")
}

func TestASecondAttemptThatFailsIsNotForgotten(t *testing.T) {
	w := paying(t, "", "9.second-stays")
	c := w.payer("", true)
	// 302: PHP may have run. 500, as the second attempt: nothing has happened now, but the first may have run.
	for range 3 {
		sendOnce(c, "k7", "status 302", `{"re":"$","error":"unknown"}`)
	}
	var attempts string
	for _, e := range w.trace.Of("message") {
		attempts += e.Var("WS_ATTEMPT")
	}
	equal(t, "attempts", attempts, "122")
}

func TestOnlyTenMessagesMayBeWithoutAReply(t *testing.T) {
	w := paying(t, "", "9.most")
	c := w.payer("", true)
	gate := w.dir + "/gate"
	sendOnce(c, "k0", "until "+gate)
	w.trace.Await(t, "message", 1)
	for i := 1; i <= 10; i++ {
		sendOnce(c, fmt.Sprint("k", i), "plain")
	}
	stack.Wait(t, "the last message to be received", func() bool { return w.Metric(t, "wsfpm_messages_total", `direction="in"`) == 11 })
	openGate(t, w.dir, "gate")
	c.Expect(`{"re":"k0","data":"attempt 1 of k0, seq 1"}`)
	for i := 1; i <= 9; i++ {
		c.Expect(fmt.Sprintf(`{"re":"k%d","data":"attempt 1 of k%[1]d, seq %d"}`, i, i+1))
	}
	c.Expect(`{"re":"k10","error":"many"}`)
	sendOnce(c, "k10", "plain", `{"re":"$","data":"attempt 1 of $, seq 12"}`)
}

func TestWithoutRedisNothingRunsOnce(t *testing.T) {
	redis := stack.Redis(t, stack.RedisOptions{})
	w := start(t, setup{script: pay, route: "once = \"4s\"\ntimeout = \"2s\"\n", options: stack.GatewayOptions{Redis: redis.URL()}},
		"9.redis-down", "9.redis-down-meanwhile", "9.busy")
	c := w.payer("", true)
	gate := w.dir + "/gate"
	sendOnce(c, "k7", "until "+gate)
	w.trace.Await(t, "message", 1)
	redis.Kill()
	openGate(t, w.dir, "gate")
	c.Expect(`{"re":"k7","kept":false,"data":"attempt 1 of k7, seq 1"}`)
	sendOnce(c, "k8", "plain", `{"re":"$","error":"busy"}`)
	redis.Start(t)
	stack.Wait(t, "Redis to be used again", func() bool {
		c.Send(`{"id":"k8","data":"plain"}`)
		return strings.Contains(string(c.Next().Data), "attempt 1 of k8")
	})
}

// A node that dies leaves the id of what it ran.
func TestADeadNodesMessageIsTakenOver(t *testing.T) {
	t.Parallel()
	w := start(t, setup{script: pay, redis: true, route: "once = \"4s\"\ntimeout = \"1s\"\n",
		options: stack.GatewayOptions{Limits: "messages_per_second = 0"}}, "9.node-dies", "9.busy")
	other := w.second(t, "other")
	c, d := w.payer("", true), other.payer("", true)
	sendOnce(c, "k7", "until "+w.dir+"/gate")
	w.trace.Await(t, "message", 1)
	w.Kill()
	openGate(t, w.dir, "gate")
	sendOnce(d, "k7", "until "+w.dir+"/gate", `{"re":"$","error":"busy"}`)
	got, busy := "", `{"re":"k7","error":"busy"}`
	for began := time.Now(); got == "" || got == busy && time.Since(began) < 3*time.Minute; {
		sendOnce(d, "k7", "until "+w.dir+"/gate")
		for got = "{}"; got == "{}"; { // signs of life
			got = string(d.Next().Data)
		}
	}
	if !strings.HasPrefix(got, `{"re":"k7","data":"attempt 2 of k7, seq `) {
		t.Errorf("got %s", got)
	}
	equal(t, "messages that reached PHP", len(w.trace.Of("message")), 2)
}

func TestCheckRefusesAnOnceThatCannotHold(t *testing.T) {
	stack.Integration(t)
	Row(t, "5.once-checked")
	route := "[[route]]\npath = \"/ws\"\nscript = \"/srv/ws.php\"\ntimeout = \"30s\"\nonce = "
	for file, want := range map[string]string{
		"[redis]\nurl = \"redis://127.0.0.1\"\n" + route + `"59s"`: "route[1].once: 59s is less than twice timeout, 30s",
		route + `"60s"`: "route[1].once: keeps the ids of messages in Redis: write redis.url, or remove it",
	} {
		out, code := checkFile(t, file+"\n")
		if code == 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d, %s", file, code, out)
		}
	}
}
