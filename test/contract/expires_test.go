package contract

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// hence is a Unix time in some seconds.
func hence(seconds int64) string { return fmt.Sprint(time.Now().Unix() + seconds) }

func TestTheEndOfASessionIsTheEndOfItsSocket(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "2.expires", "2.expires-renew", "2.expires-past", "4.expires", "2.close-codes-own")
	began := time.Now()
	ends := w.dial("?h[]=WS-Expires:"+hence(2), stack.DialOptions{})
	short := w.open()
	say(short, "soon", "WS-Expires: "+hence(600))
	short.Expect("soon")
	say(short, `{"data":"sooner","expires":`+hence(1)+`}`, commandType)
	short.Expect("sooner")
	kept := w.dial("?h[]=WS-Expires:"+hence(2), stack.DialOptions{})
	say(kept, "kept", "WS-Expires: never")
	kept.Expect("kept")
	emptied := w.dial("?h[]=WS-Expires:"+hence(2), stack.DialOptions{})
	say(emptied, "kept", "WS-Expires: ")
	emptied.Expect("kept")
	for _, c := range []*stack.Client{short, ends} {
		equal(t, "reason", c.ExpectClose(4401), "session expired")
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("the session ended %v after the connect that gave it 1 to 2 s", took)
	}
	e := w.trace.Await(t, "disconnect", 2)[1]
	equal(t, "disconnect", e.Var("WS_CLOSE_CODE")+" "+e.Var("WS_CLOSE_REASON"), "4401 session expired")
	equal(t, "closes", w.Metric(t, "wsfpm_connections_closed_total", `code="4401"`), 2)
	settle(t, kept)
	settle(t, emptied)
	over := w.open()
	say(over, "last words", "WS-Expires: 1")
	over.Expect("last words")
	over.ExpectClose(4401)
	w.dial("?h[]=WS-Expires:0", stack.DialOptions{}).ExpectClose(4401)
	script := w.open()
	say(script, "", "WS-Expires: 0", "WS-Close: 4001 signed out")
	equal(t, "reason", script.ExpectClose(4001), "signed out")
}

func TestAnEndThatIsNoTimeIsMalformed(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "2.expires-value", "4.expires")
	c := w.open()
	for _, bad := range []string{"tomorrow", "-1", "+5", "1.5", "1767225600000", "Never", "0x10", "1; a=b"} {
		say(c, "never", "WS-Expires: "+bad)
		settle(t, c)
	}
	for _, bad := range []string{`1.5`, `-1`, `1767225600000`, `null`, `true`, `"soon"`} {
		say(c, `{"data":"never","expires":`+bad+`}`, commandType)
		settle(t, c)
	}
	say(c, `{"to":"all","expires":0}`, commandType) // another's session is not ended so
	settle(t, c)
	equal(t, "a handshake", w.refused("?h[]=WS-Expires:soon", stack.DialOptions{}).Status, 502)
}

func TestTheCodeOfAnEndedSessionIsTheRoutes(t *testing.T) {
	w := start(t, setup{script: "chatty.php", route: "expire_code = 4101", options: stack.GatewayOptions{Drain: "100ms"}},
		"2.expire-code", "2.expires-drain")
	c := w.dial("?h[]=WS-Expires:"+hence(1), stack.DialOptions{})
	c.ExpectClose(4101)
	stack.Wait(t, "its end", func() bool { return w.Metric(t, "wsfpm_connections_closed_total", `code="4101"`) == 1 })
	c = w.dial("?h[]=WS-Expires:"+hence(600), stack.DialOptions{})
	ended := w.dial("?h[]=WS-Expires:"+hence(3), stack.DialOptions{})
	w.Edit(t, "expire_code = 4101", "expire_code = 4102")
	w.Reload()
	ended.ExpectClose(4102)
	w.Terminate()
	c.ExpectClose(1012)
	equal(t, "exit code", w.Exit(t), 0)
}

// A client cannot prolong its session by messages that wait.
func TestMessagesThatWaitDoNotProlongASession(t *testing.T) {
	w := start(t, setup{script: `
		if ($_SERVER['WS_EVENT'] === 'connect') header('WS-Expires: ' . time() + 1);
		if ($_SERVER['WS_EVENT'] === 'message') { usleep(500000); echo 'done'; }`, route: `timeout = "1s"`}, "2.expires-late")
	const sent = 20
	c := w.open()
	for range sent {
		c.Send("x")
	}
	done := 0
	for f, ok := c.NextOrEnd(); ok; f, ok = c.NextOrEnd() {
		equal(t, "an answer", string(f.Data), "done")
		done++
	}
	c.ExpectClose(4401)
	if done == 0 || done == sent {
		t.Errorf("%d of %d messages were handled, want the first ones", done, sent)
	}
}

// A stream ends with its session, as at a drain; one whose session is over already is sent
// whole.
func TestAStreamEndsWithItsSession(t *testing.T) {
	w := start(t, setup{script: `
		if ($_SERVER['WS_EVENT'] !== 'message') return;
		header('WS-Expires: ' . $at = file_get_contents('php://input'));
		header('Content-Type: application/x-ndjson');
		for ($i = 0; $i < ($at ? 3000 : 3); $i++) { echo "line\n"; ob_flush(); flush(); usleep(20000); }`}, "2.expires-stream")
	over := w.open()
	over.Send("0")
	for range 3 {
		over.Expect("line")
	}
	over.ExpectClose(4401)
	cut := w.open()
	cut.Send(hence(2))
	for f, ok := cut.NextOrEnd(); ok; f, ok = cut.NextOrEnd() {
		equal(t, "a line", string(f.Data), "line")
	}
	cut.ExpectClose(4401)
	w.AwaitLog(t, "warn", "event failed", "its stream is cut")
}

func TestTheCodeOfASlowReaderIsTheRoutes(t *testing.T) {
	t.Parallel()
	w := start(t, setup{script: whoScript, route: "slow_code = 4200", options: stack.GatewayOptions{Limits: "queue = \"64KiB\"\nwrite_timeout = \"5s\""}}, "2.slow-code")
	w.dial("?h[]=WS-Join:c", stack.DialOptions{Deaf: true})
	payload := strings.Repeat("x", 60<<10)
	stack.Wait(t, "the slow reader to be found", func() bool {
		w.Push(t, `{"to":"channel:c","data":"`+payload+`"}`)
		return w.Metric(t, "wsfpm_limits_reached_total", `limit="queue"`) == 1
	})
	stack.WaitWithin(t, 2*stack.Patience, "its end", func() bool {
		return w.Metric(t, "wsfpm_connections_closed_total", `code="4200"`) == 1
	})
	equal(t, "slow readers", w.Metric(t, "wsfpm_slow_readers_total"), 1)
}
