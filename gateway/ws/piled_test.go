package ws

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestTimeUnreadDoesNotPileUpForEver(t *testing.T) {
	c, p := pair(t, "tcp", Limits{ControlRate: 10, ControlBurst: 2})
	for range 10 { // messages, each with 100 ms in its handler
		p.say(t, masked(0x81, "m"))
		if _, err := c.Read(); err != nil {
			t.Fatal(err)
		}
		c.input.unread -= 100 * time.Millisecond
	}
	read := make(chan error, 1)
	go func() { _, err := c.Read(); read <- err }()
	waitFor(t, "everything to be read", readWaits)
	for range 8 {
		p.say(t, masked(0x8a, ""))
	}
	select {
	case <-read:
	case <-time.After(patience):
		t.Errorf("8 at once were taken, 2 are allowed")
		c.CloseNow()
		<-read
	}
}

// readWaits reports whether a goroutine in Read waits for its socket.
func readWaits() bool {
	stacks := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		state, _, _ := strings.Cut(stack, "\n")
		if strings.Contains(state, "[IO wait") && strings.Contains(stack, "ws.(*Conn).Read(") {
			return true
		}
	}
	return false
}
