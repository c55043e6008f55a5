package ws

import (
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
		time.Sleep(100 * time.Millisecond)
	}
	read := make(chan error, 1)
	go func() { _, err := c.Read(); read <- err }()
	time.Sleep(50 * time.Millisecond) // it has read everything by now, and waits
	for range 8 {
		p.say(t, masked(0x8a, ""))
	}
	select {
	case <-read:
	case <-time.After(2 * time.Second):
		t.Errorf("8 at once were taken, 2 are allowed")
		c.CloseNow()
		<-read
	}
}
