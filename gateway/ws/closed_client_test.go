package ws

import (
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/gateway/out"
)

func endsSoon(t *testing.T, l Limits, read func(p *peer)) {
	c, p := piped(t, l)
	for range 32 {
		if err := c.QueueReply(text(strings.Repeat("x", 1<<20))); err != nil {
			t.Fatal(err)
		}
	}
	c.Flush()
	go p.say(t, masked(0x88, closePayload(1000, "")))
	if _, err := c.Read(); err == nil {
		t.Fatal("got a message")
	}
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() { read(p) })
	select {
	case <-c.Ended():
	case <-time.After(8 * time.Second):
		t.Errorf("8 s after the client's Close and the end of Read the socket is open, %d MiB are held", c.Buffered()>>20)
		c.CloseNow()
	}
}

func TestWithoutWriteTimeoutAClosedClientEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { endsSoon(t, Limits{}, func(*peer) {}) })
}

func TestAClosedClientThatDripsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endsSoon(t, Limits{Out: out.Limits{WriteTimeout: 5 * time.Second}}, func(p *peer) {
			for {
				if _, err := io.CopyN(io.Discard, p.Conn, 128<<10); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond) // on a fake clock
			}
		})
	})
}
