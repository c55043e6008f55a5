package contract

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"wsfpm/gateway/live"
	"wsfpm/test/stack"
)

// logPipe is the log of a gateway: a pipe that holds one page.
func logPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	const setPipeSize = 1031 // F_SETPIPE_SZ
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, w.Fd(), setPipeSize, 4096); errno != 0 {
		t.Fatal(errno)
	}
	return r, w
}

const failsOnDemand = `if (file_get_contents('php://input') === 'fail') throw new Exception(str_repeat('x', 3000)); echo 'fine';`

func TestALogThatNothingReadsHoldsNothingUp(t *testing.T) {
	_, log := logPipe(t)
	w := start(t, setup{script: failsOnDemand, route: `events = ["message"]` + "\npublic = true", options: stack.GatewayOptions{Stderr: log}}, "5.log-full")
	c := w.open()
	for range 60 { // one line each: more than the pipe holds
		equal(t, "a refused handshake", stack.Handshake(t, w.Listen, "/none").Status, 404)
	}
	for range 10 {
		c.Send("fail")
		c.Send("go on")
		c.Expect("fine")
	}
	equal(t, "exit code after SIGTERM", w.Stop(t), 0)
}

func TestALogWhoseReaderHasGoneCostsLinesOnly(t *testing.T) {
	r, log := logPipe(t)
	w := start(t, setup{script: failsOnDemand, route: `events = ["message"]` + "\npublic = true", options: stack.GatewayOptions{Stderr: log}}, "5.log-gone")
	log.Close()
	c := w.open()
	r.Close() // what supervises the process was restarted
	equal(t, "a refused handshake", stack.Handshake(t, w.Listen, "/none").Status, 404)
	stack.Wait(t, "lines to be counted as dropped", func() bool { return w.Metric(t, "wsfpm_log_lines_dropped_total") > 0 })
	c.Send("fail")
	c.Send("go on")
	c.Expect("fine")
	equal(t, "exit code after SIGTERM", w.Stop(t), 0)
}

func TestTheAccessLogHasALineForEachEvent(t *testing.T) {
	w := start(t, setup{script: `if (file_get_contents('php://input') === 'fail') throw new Exception('no card 4111'); echo 'fine';`, route: `events = ["message"]` + "\npublic = true", options: stack.GatewayOptions{Args: []string{"--set", "log.access=true"}}}, "5.log-access", "1.traceparent")
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	c := stack.Dial(t, w.URL+"/ws", stack.DialOptions{Header: http.Header{"Traceparent": {"00-" + trace + "-00f067aa0ba902b7-01"}}})
	c.Send("a message that no log may have")
	c.Expect("fine")
	c.Send("fail")
	equal(t, "the trace of the failure", w.AwaitLog(t, "error", "event failed").Text("trace"), trace)
	var lines []live.Record
	stack.Wait(t, "two lines of the access log", func() bool {
		lines = nil
		for line := range strings.Lines(w.LogText()) {
			if strings.HasPrefix(line, `{"time":`) {
				lines = append(lines, decode[live.Record](t, []byte(line)))
			}
		}
		return len(lines) == 2
	})
	if a, b := lines[0], lines[1]; a.Kind != "message" || a.Outcome != "ok" || a.Body.Bytes != 30 || a.Address != "127.0.0.1" || a.Trace != trace || b.Outcome != "answer" || b.Run <= 0 {
		t.Errorf("got %+v and %+v", a, b)
	}
	if strings.Contains(w.LogText(), "no log may have") {
		t.Error("a log has a client's message")
	}
	equal(t, "the failure without the words of the exception", lines[1].Error, `PHP reported "PHP Fatal error:  Uncaught Exception…"`)
}

func TestThereIsNoAccessLogUnasked(t *testing.T) {
	without := start(t, setup{script: "echo.php"}, "5.log-access")
	c := without.open()
	c.Send("x")
	c.Next()
	if strings.Contains(without.LogText(), `"kind":"message"`) {
		t.Error("there is an access log without log.access")
	}
}
