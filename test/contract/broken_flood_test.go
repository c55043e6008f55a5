package contract

import (
	"net"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// A client sends more than its limit of messages and breaks its connection:
// what waits in the kernel does not keep it alive.
func TestABrokenFlooderIsNoticed(t *testing.T) {
	t.Parallel()
	w := start(t, setup{script: "echo.php"}, "2.promise-broken")
	c := stack.RawDial(t, w.Listen, "/ws")
	message := stack.ClientFrame(0x81, []byte("again"))
	var many []byte
	for range 2000 { // over three minutes at ten a second
		many = append(many, message...)
	}
	c.Write(many)
	stack.Wait(t, "the first answers", func() bool { return w.Metric(t, "wsfpm_messages_total", "out") >= 30 })
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	began := time.Now()
	stack.WaitWithin(t, 40*time.Second, "the end", func() bool { return w.Metric(t, "wsfpm_connections") == 0 })
	t.Logf("noticed after %v", time.Since(began))
}
