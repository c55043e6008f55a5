package ws

import (
	"io"
	"testing"
	"time"

	"wsfpm/gateway/out"
	"wsfpm/session"
)

// full is a connection whose socket takes no more.
func full(t *testing.T, network string, l Limits) (*Conn, *peer) {
	t.Helper()
	c, p := pair(t, network, l)
	go readEnd(c)
	if err := c.QueueReply(session.NewMessage(true, make([]byte, 32<<20))); err != nil {
		t.Fatal(err)
	}
	c.Flush()
	return c, p
}

func TestTheSystemSaysWhatTheClientHasTaken(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			c, p := pair(t, network, Limits{})
			go readEnd(c)
			for range 8 { // less than the socket holds
				c.Queue(session.NewMessage(true, make([]byte, 10_000)))
			}
			c.Flush()
			if network == "unix" {
				if n, known := c.out.Socket.Unsent(); !known || n < 80_000 {
					t.Errorf("the system holds %d bytes, known %v", n, known)
				}
			}
			go io.Copy(io.Discard, p)
			waitFor(t, "all to be taken", func() bool {
				n, known := c.out.Socket.Unsent()
				return known && n == 0
			})
		})
	}
}

// The system reports room only when a third of a buffer of up to 4 MB is free,
// over a unix socket three quarters of a small one.
func TestSteadyReaderIsNotTooSlow(t *testing.T) {
	for network, part := range map[string]int64{"unix": 8 << 10, "tcp": 32 << 10} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			const timeout = time.Second
			c, p := full(t, network, Limits{Out: out.Limits{WriteTimeout: timeout}})
			pace := time.NewTicker(timeout / 10)
			defer pace.Stop()
			for range 25 {
				<-pace.C
				if _, err := io.CopyN(io.Discard, p.Conn, part); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := io.CopyN(io.Discard, p.Conn, 32<<20+10-25*part); err != nil {
				t.Fatal(err)
			}
			if n := c.shared.Stats.SlowReaders.Load(); n != 0 {
				t.Errorf("%d slow readers", n)
			}
		})
	}
}

func TestPongIsNotExpectedBeforeThePingIsTaken(t *testing.T) {
	const limit = 20 * time.Second
	s := NewShared(0)
	defer s.Wheel.Stop()
	for name, test := range map[string]struct {
		unsent []int64       // at the looks, one in five seconds
		queued int           // bytes that wait in the outlet at all of them
		late   time.Duration // by which the first look is
		lost   int           // the look after which the client is lost; 0: none
	}{
		"a dead client":                   {[]int64{2, 2, 2, 2}, 0, 0, 4},
		"a dead client with data":         {[]int64{5000, 5000, 5000, 5000}, 0, 0, 4},
		"a client that has the ping":      {[]int64{0, 0, 0, 0}, 0, 0, 4},
		"a client that takes data":        {[]int64{9000, 8000, 7000, 6000, 5000, 4000, 3000, 2000, 1000, 900, 800}, 0, 0, 0},
		"data first, then nothing":        {[]int64{9000, 8000, 7000, 0, 0, 0, 0, 0}, 0, 0, 8},
		"data first, then it stops":       {[]int64{9000, 8000, 8000, 8000, 8000, 8000}, 0, 0, 6},
		"the ping waits in the outlet":    {[]int64{9000, 9000, 9000, 9000, 9000, 9000}, 100, 0, 0},
		"as much is sent as it has taken": {[]int64{9000, 9000, 9000, 9000, 9000}, 0, 0, 4},
		"a process that was frozen":       {[]int64{0, 0, 0, 0}, 0, time.Hour, 4},
	} {
		c := New(&Limits{Out: out.Limits{WriteTimeout: time.Second}, PongTimeout: limit}, s)
		c.mu.Lock()
		c.reads = 1 // as in a Read
		state := out.State{Sent: 10_000, Waiting: int64(test.queued)}
		c.probeLocked(limit, state)
		lost := 0
		for i, unsent := range test.unsent {
			c.judgeLocked(c.probe.due+test.late, unsent, state)
			test.late = 0
			if c.cause.code != 0 {
				lost = i + 1
				break
			}
		}
		c.todo = 0
		c.mu.Unlock()
		if lost != test.lost {
			t.Errorf("%s: lost after look %d, want %d", name, lost, test.lost)
		}
	}
}
