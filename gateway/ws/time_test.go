package ws

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/gateway/out"
)

// tick is how exact a scheduler is.
const tick = 10 * time.Millisecond

// piped is a connection over net.Pipe, for tests on a fake clock.
func piped(t *testing.T, l Limits) (*Conn, *peer) {
	t.Helper()
	server, client := net.Pipe()
	t.Cleanup(func() { client.Close() })
	return upgraded(t, server, l), newPeer(client)
}

func TestSilentClientIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := piped(t, Limits{PingInterval: 25 * time.Second, PongTimeout: 20 * time.Second})
		go p.frame()
		start := time.Now()
		if _, err := c.Read(); err == nil {
			t.Fatal("got a message")
		}
		took := time.Since(start)
		if took < 42*time.Second || took > 48*time.Second {
			t.Fatalf("noticed after %v, want 45s give or take the jitter of a ping", took)
		}
		within(t, "the end", c.Ended())
		wantCause(t, c, 1006, false)
		if s := c.shared.Stats.Snapshot(); s.PingsSent != 1 || s.PongsMissed != 1 {
			t.Fatalf("got %+v", s)
		}
	})
}

func TestClientThatAnswersPingsStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := piped(t, Limits{PingInterval: 25 * time.Second, PongTimeout: 20 * time.Second})
		go func() {
			for range 100 {
				if f, err := p.frame(); err != nil || f.first != 0x89 {
					return
				}
				time.Sleep(19 * time.Second) // on a fake clock
				p.Write(masked(0x8a, ""))
			}
			p.Write(masked(0x81, "still here"))
		}()
		if m, err := c.Read(); err != nil || string(m.Data) != "still here" {
			t.Fatalf("got %q, %v", m.Data, err)
		}
	})
}

func TestPongIsNotExpectedWithoutAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := piped(t, Limits{PingInterval: 25 * time.Second, PongTimeout: 20 * time.Second})
		pings := make(chan struct{}, 100)
		go func() {
			for {
				if _, err := p.frame(); err != nil {
					return
				}
				pings <- struct{}{}
			}
		}()
		time.Sleep(10 * time.Minute) // on a fake clock
		if n := len(pings); n < 20 {
			t.Errorf("got %d pings in ten minutes: a proxy may have closed the connection", n)
		}
		go p.Write(masked(0x81, "patient"))
		if m, err := c.Read(); err != nil || string(m.Data) != "patient" {
			t.Fatalf("got %q, %v", m.Data, err)
		}
	})
}

// A reload may take the write timeout away while a Close frame waits to be written.
func TestAClosingConnectionEndsWithoutAWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := piped(t, Limits{Out: out.Limits{WriteTimeout: time.Hour}})
		c.Close(1012, "service restart")
		c.SetLimits(&Limits{})
		start := time.Now()
		<-c.Ended()
		if took := time.Since(start); took > closeWait+tick {
			t.Errorf("ended after %v, want %v", took, closeWait)
		}
	})
}

func TestIdleClientIsNotASlowMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := piped(t, Limits{AssemblyTimeout: 10 * time.Second})
		go func() {
			for range 3 {
				whole := masked(0x81, "in two parts")
				p.Write(whole[:8])
				time.Sleep(9 * time.Second) // on a fake clock
				p.Write(whole[8:])
				time.Sleep(time.Hour)
			}
			p.Write(masked(0x88, ""))
			p.frame()
		}()
		for range 3 {
			if _, err := c.Read(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Read(); !errors.As(err, new(CloseError)) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestEveryMessageHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := piped(t, Limits{AssemblyTimeout: 10 * time.Second})
		whole := masked(0x81, "never a pause between two")
		go func() {
			p.Write(whole[:8])
			for range 3 {
				time.Sleep(6 * time.Second) // on a fake clock
				p.Write(append(whole[8:len(whole):len(whole)], whole[:8]...))
			}
		}()
		for range 3 {
			if _, err := c.Read(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestControlFrameMayComeSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := piped(t, Limits{AssemblyTimeout: 10 * time.Second})
		go readEnd(c)
		p.Write(masked(0x01, "a message has begun"))
		whole := masked(0x89, "slow ping")
		p.Write(whole[:9])
		time.Sleep(8 * time.Second) // on a fake clock
		p.Write(whole[9:])
		p.want(t, 0x8a, "slow ping")
	})
}

func TestProgressRenewsTheWriteTimeoutOverAnyConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := piped(t, Limits{Out: out.Limits{WriteTimeout: 10 * time.Second}})
		c.Queue(text("slowly"))
		c.Flush()
		var b [1]byte
		for i := range 2 + len("slowly") {
			time.Sleep(6 * time.Second) // on a fake clock
			if _, err := p.Read(b[:]); err != nil {
				t.Fatalf("byte %d: %v", i, err)
			}
		}
	})
}

func TestPingsDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := piped(t, Limits{PingInterval: time.Second})
		time.Sleep(time.Hour) // on a fake clock; the client does not read
		if n := c.Buffered(); n != 2 {
			t.Errorf("%d bytes wait, want one ping", n)
		}
	})
}

func TestClientThatDoesNotAnswerCloseIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := piped(t, Limits{Out: out.Limits{WriteTimeout: time.Minute}})
		start := time.Now()
		c.Close(1012, "restart")
		p.want(t, 0x88, closePayload(1012, "restart"))
		<-c.Ended()
		if took := time.Since(start); took < closeWait || took > closeWait+2*tick {
			t.Fatalf("ended after %v, want %v", took, closeWait)
		}
		wantCause(t, c, 1012, false)
	})
}

func TestControlFramesComeBackAtTheirRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := piped(t, Limits{ControlRate: 10, ControlBurst: 20})
		go func() {
			for range 20 {
				p.Write(masked(0x8a, ""))
			}
			for range 100 {
				time.Sleep(100 * time.Millisecond) // on a fake clock
				p.Write(masked(0x8a, ""))
			}
			p.Write(masked(0x81, "within the rate"))
		}()
		if m, err := c.Read(); err != nil || string(m.Data) != "within the rate" {
			t.Fatalf("got %q, %v", m.Data, err)
		}
	})
}

func TestControlFramesThatPiledUpWithoutAReaderAreNoOffence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := piped(t, Limits{ControlRate: 10, ControlBurst: 20})
		go p.Write(masked(0x81, "a slow handler's"))
		if _, err := c.Read(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // on a fake clock: the client pings once a second
		pings := bytes.Repeat(masked(0x89, ""), 60)
		go func() {
			p.Write(append(pings, masked(0x81, "still here")...))
			for range 1000 {
				p.Write(masked(0x89, "")) // far above the rate
			}
		}()
		go io.Copy(io.Discard, p)
		if m, err := c.Read(); err != nil || string(m.Data) != "still here" {
			t.Fatalf("got %q, %v", m.Data, err)
		}
		if _, err := c.Read(); err == nil {
			t.Fatal("a flood of pings was taken")
		}
		wantCause(t, c, 1008, false)
	})
}
