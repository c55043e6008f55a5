package contract

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"wsfpm/test/stack"
)

func TestSIGTERMDrains(t *testing.T) {
	w := start(t, setup{script: "slow.php", options: stack.GatewayOptions{Drain: "800ms"}},
		"5.drain-ready", "5.drain-handlers", "5.drain-close", "5.drain-disconnect", "5.drain-exit", "2.close-codes-own")
	var idle []*stack.Client
	for range 8 {
		idle = append(idle, w.open())
	}
	busy := w.open()
	busy.Send("600")
	stack.Wait(t, "the handler to run", func() bool { return w.Metric(t, "wsfpm_fpm_in_use") > 0 })
	began := time.Now()
	w.Terminate()
	stack.WaitWithin(t, 500*time.Millisecond, "the listener to close", func() bool {
		c, err := net.Dial("tcp", w.Listen)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	equal(t, "/ready is green", w.Ready(), false)
	busy.Expect("slept 600")
	busy.ExpectClose(1012)
	for _, c := range idle {
		c.ExpectClose(1012)
	}
	equal(t, "exit code", w.Exit(t), 0)
	if took := time.Since(began); took < 300*time.Millisecond || took > stack.Bound(4*time.Second) {
		t.Errorf("the drain took %v, want about 800ms", took)
	}
	ends := w.trace.Of("disconnect")
	equal(t, "disconnect events", len(ends), 9)
	spread := 0.0
	for _, e := range ends {
		equal(t, "WS_CLOSE_CODE", e.Var("WS_CLOSE_CODE"), "1012")
		spread = max(spread, e.Begin-ends[0].Begin)
	}
	if spread < 0.2 {
		t.Errorf("all clients were closed within %.3fs, want them spread over 0.8s", spread)
	}
}

// endless streams until its client is gone or sent away; other messages are echoed.
const endless = `
if ($_SERVER['WS_EVENT'] !== 'message') exit;
$body = file_get_contents('php://input');
if ($body !== 'stream') exit($body);
header('Content-Type: application/x-ndjson');
for (;;) { echo "line\n"; ob_flush(); flush(); usleep(20000); }
`

// A client that a drain sends away learns that the stream was cut: what it has had is not
// all, and the answers to its later messages still come.
func TestADrainNamesTheStreamsItCuts(t *testing.T) {
	for _, test := range []struct{ name, route, told string }{
		{"message", "on_error = \"message\"\nerror_message = \"sorry\"", "sorry"},
		{"keep", "on_error = \"keep\"", ""},
		{"close", "on_error = \"close\"", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := start(t, setup{script: endless, route: test.route, options: stack.GatewayOptions{Drain: "100ms"}}, "5.drain-streams")
			c := w.open()
			c.Send("stream")
			c.Expect("line")
			c.Send("after")
			stack.Wait(t, "the message to wait", func() bool { return w.Metric(t, "wsfpm_messages_total", `direction="in"`) == 2 })
			w.Terminate()
			var got []string
			for f, ok := c.NextOrEnd(); ok; f, ok = c.NextOrEnd() {
				if text := string(f.Data); text != "line" {
					got = append(got, text)
				}
			}
			want := []string{"after"}
			if test.told != "" {
				want = []string{test.told, "after"}
			}
			if test.name == "close" {
				want = nil // nothing comes after an end
			}
			equal(t, "after the lines", fmt.Sprint(got), fmt.Sprint(want))
			c.ExpectClose(1012)
			equal(t, "exit code", w.Exit(t), 0)
			w.AwaitLog(t, "warn", "event failed", "its stream is cut")
		})
	}
}

func TestADrainThatGivesUpSaysSo(t *testing.T) {
	fpm := stack.FPM(t, stack.FPMOptions{NoINI: true})
	w := start(t, setup{script: "trace.php", options: stack.GatewayOptions{Drain: "200ms", FPM: fpm, FPMLines: `idle_timeout = "0s"`,
		Top: `disconnect_retry = "500ms"`}}, "5.drain-exit")
	w.open()
	w.open()
	fpm.Stop()
	equal(t, "exit code", w.Stop(t), 1)
	w.AwaitLog(t, "", "2", "disconnect")
}

func TestASocketOfASuccessorIsNotUnlinked(t *testing.T) {
	socket := filepath.Join(stack.TempDir(t), "ws.sock")
	s := setup{script: "echo.php", options: stack.GatewayOptions{Listen: "unix:" + socket}}
	old := start(t, s, "5.drain-unlink", "5.listen-unix")
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	young := start(t, s)
	old.Stop(t)
	c := young.dial("", stack.DialOptions{Unix: socket, Host: "h"})
	c.Send("x")
	c.Expect("x")
	young.Stop(t)
	if _, err := os.Stat(socket); err == nil {
		t.Error("the last one did not remove its socket")
	}
}

func TestSIGHUPReadsTheFileAgain(t *testing.T) {
	w := start(t, setup{script: "slow.php", options: stack.GatewayOptions{Routes: "[[route]]\npath = \"/old\"\nscript = \"$DIR/echo.php\"\n"}},
		"5.reload-all", "5.reload-new", "5.reload-restart", "5.reload-broken")
	c := w.open()
	old := stack.Dial(t, w.URL+"/old", stack.DialOptions{})
	text := w.ConfigText(t)

	w.WriteConfig(t, text+"\nnonsense = [")
	w.Reload()
	w.AwaitLog(t, "error", "reload failed", "array is incomplete")
	c.Send("1")
	c.Expect("slept 1")

	w.WriteConfig(t, text)
	w.Edit(t, `path = "/old"`, `path = "/new"`,
		"[fpm.default]", "[fpm.default]\nmax_connections = 1",
		`node = "test"`, `node = "other"`,
		`path = "/ws"`, "path = \"/ws\"\ntimeout = \"200ms\"\non_error = \"message\"\nerror_message = \"sorry\"\norigins = [\"https://new.example\"]")
	w.Reload()
	w.AwaitLog(t, "warn", "node", "restart")
	stack.Wait(t, "the new route", func() bool { return stack.Handshake(t, w.Listen, "/new").Status == 101 })
	equal(t, "the old route", stack.Handshake(t, w.Listen, "/old").Status, 404)
	equal(t, "max_connections", w.Metric(t, "wsfpm_fpm_max_connections"), 1)
	w.dial("", stack.DialOptions{Origin: "https://new.example"})
	old.Send("still served")
	old.Expect("still served")
	young := w.open()
	for _, client := range []*stack.Client{young, c} { // timeouts count for connections that are there too
		client.Send("500")
		if f := client.Next(); string(f.Data) == "slept 500" {
			t.Error("the new timeout does not count")
		}
	}
}
