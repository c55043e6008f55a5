package fcgi

import (
	"net"
	"testing"
	"time"

	"wsfpm/fcgi/fcgitest"
)

// The time for reading may be a short one, and over before the request is sent.
func TestSendingHasATimeOfItsOwn(t *testing.T) {
	s := serve(t, fcgitest.Echo, fcgitest.Options{})
	nc, err := net.Dial(s.Network, s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := newConn(nc)
	c.begin()
	c.readBy(time.Unix(1, 0))
	if err := c.send(&Request{Env: testEnv(t)}, time.Now().Add(10*time.Second)); err != nil || c.sent == 0 {
		t.Fatalf("sent %d bytes, %v", c.sent, err)
	}
	c.readBy(time.Now().Add(10 * time.Second))
	var stderr boundedText
	if _, err := c.gatherHeader(64<<10, &stderr); err != nil {
		t.Fatal(err)
	}

	use := c.begin()
	c.interrupt(use)
	if err := c.send(&Request{Env: testEnv(t)}, time.Now().Add(10*time.Second)); !isTimeout(err) || c.sent > 0 {
		t.Errorf("interrupted: sent %d bytes, %v", c.sent, err)
	}
}
