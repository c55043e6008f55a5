package contract

import (
	"os"
	"syscall"
	"testing"

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
