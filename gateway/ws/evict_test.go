package ws

import (
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/gateway/out"
)

// As package out has them.
const (
	lookInterval = 250 * time.Millisecond
	memoryWait   = 10 * time.Second
)

// begins is a frame of a message of that size, as far as its first bytes.
func begins(size, first int) []byte {
	return masked(0x82, strings.Repeat("x", size))[:14+first]
}

// pipedOf is piped for one of several connections.
func pipedOf(t *testing.T, s *Shared, l Limits) (*Conn, *peer) {
	t.Helper()
	server, client := net.Pipe()
	t.Cleanup(func() { client.Close() })
	return upgradedOf(t, s, server, l), newPeer(client)
}

func TestSmallMessagesPassWhileLargeOnesStall(t *testing.T) {
	shared := NewShared(256 << 10)
	for range 8 {
		c, p := pairOf(t, shared, "unix", Limits{})
		go readEnd(c)
		go p.Write(begins(60_000, 50_000))
	}
	waitFor(t, "large messages to wait for memory", func() bool { return shared.Stats.MemoryWaits.Load() > 0 })
	c, p := pairOf(t, shared, "unix", Limits{})
	p.say(t, masked(0x81, strings.Repeat("a small message ", 500)))
	if m, err := c.Read(); err != nil || len(m.Data) != 8000 {
		t.Fatalf("got %d bytes, %v", len(m.Data), err)
	}
	if n := shared.Stats.MessagesEvicted.Load(); n != 0 {
		t.Errorf("%d messages gave way for a small one", n)
	}
}

func TestStalledMessageGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(100_000)
		stalled, ps := pipedOf(t, shared, Limits{AssemblyTimeout: time.Hour})
		go readEnd(stalled)
		go ps.Write(begins(100_000, 70_000))
		time.Sleep(time.Minute) // on a fake clock
		c, p := pipedOf(t, shared, Limits{AssemblyTimeout: time.Hour})
		go p.Write(masked(0x82, strings.Repeat("y", 50_000)))
		start := time.Now()
		if m, err := c.Read(); err != nil || len(m.Data) != 50_000 {
			t.Fatalf("got %d bytes, %v", len(m.Data), err)
		}
		if took := time.Since(start); took > 2*lookInterval {
			t.Errorf("took %v", took)
		}
		ps.wantClose(t, 1013)
		within(t, "the end", stalled.Ended())
		if used, n := shared.Memory.Used(), shared.Stats.MessagesEvicted.Load(); used != 50_000 || n != 1 {
			t.Errorf("%d bytes are held, %d messages gave way", used, n)
		}
	})
}

func TestMessageThatComesSteadilyDoesNotGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(300_000)
		l := Limits{AssemblyTimeout: time.Hour}
		steady, p := pipedOf(t, shared, l)
		got := make(chan error, 1)
		go func() {
			_, err := steady.Read()
			got <- err
		}()
		trickling, pt := pipedOf(t, shared, l)
		go readEnd(trickling)
		go func() {
			whole := masked(0x82, strings.Repeat("x", 100_000))
			pt.Write(whole[:80_000])
			for i := range 20_000 { // a byte now and then is no progress
				time.Sleep(500 * time.Millisecond)
				if _, err := pt.Write(whole[80_000+i : 80_001+i]); err != nil {
					return
				}
			}
		}()
		whole := masked(0x82, strings.Repeat("x", 400_000))
		go func() {
			for len(whole) > 0 {
				n := min(len(whole), out.Small)
				p.Write(whole[:n])
				whole = whole[n:]
				time.Sleep(time.Second)
			}
		}()
		time.Sleep(5 * time.Second)
		other, po := pipedOf(t, shared, l)
		go po.Write(masked(0x82, strings.Repeat("y", 60_000)))
		if _, err := other.Read(); err != nil {
			t.Error(err)
		}
		shared.Memory.Release(60_000)
		pt.wantClose(t, 1013)
		if err := <-got; err != nil {
			t.Errorf("a steady client: %v", err)
		}
		time.Sleep(2 * time.Second) // the clients end
	})
}

func TestWaitForMemoryIsNotTheClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(100_000)
		others := shared.Memory.Claim(nil)
		others.TryGrow(30_000)
		c, p := pipedOf(t, shared, Limits{AssemblyTimeout: 3 * time.Second})
		whole := masked(0x82, strings.Repeat("x", 60_000))
		go func() {
			p.Write(whole[:20_000])
			time.Sleep(2 * time.Second) // on a fake clock
			p.Write(whole[20_000:])
		}()
		go func() {
			lane := shared.Memory.Claim(nil) // may exceed the budget in its stead
			time.Sleep(time.Second)
			lane.TryGrow(100)
			lane.TryGrow(50_000)
			time.Sleep(8 * time.Second)
			others.Keep(0)
			lane.Keep(0)
		}()
		if m, err := c.Read(); err != nil || len(m.Data) != 60_000 {
			t.Fatalf("got %d bytes, %v", len(m.Data), err)
		}
		if shared.Stats.MemoryWaits.Load() == 0 {
			t.Error("it has not waited: nothing was tested")
		}
	})
}

func TestMessageDoesNotWaitForMemoryForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := NewShared(100_000)
		lane := shared.Memory.Claim(nil) // exceeds the budget, and does not end
		lane.TryGrow(70_000)
		lane.TryGrow(70_000)
		c, p := pipedOf(t, shared, Limits{AssemblyTimeout: time.Hour})
		shared.Memory.Resize(220_000)
		start := time.Now()
		go p.Write(masked(0x82, strings.Repeat("x", 60_000)))
		go readEnd(c)
		p.wantClose(t, 1013)
		if took := time.Since(start); took < memoryWait || took > memoryWait+lookInterval {
			t.Errorf("took %v, want %v", took, memoryWait)
		}
		within(t, "the end", c.Ended())
		if used := shared.Memory.Used(); used != 140_000 {
			t.Errorf("%d bytes are held", used)
		}
	})
}

func TestWhatHasComeIsReadThoughTheTimeIsOver(t *testing.T) {
	c, p := pair(t, "unix", Limits{AssemblyTimeout: patience})
	whole := masked(0x82, strings.Repeat("x", 100_000))
	p.say(t, whole[:20])
	if err := c.beginRead(); err != nil {
		t.Fatal(err)
	}
	c.awaitFrame()
	c.limitUntil(1) // this process has slept through the time
	go p.Write(whole[20:])
	for c.input.hi-c.input.lo < 10_000 {
		c.out.Socket.Raw.Control(func(fd uintptr) { c.readReady(fd) })
	}
	c.endRead(nil)
	if m, err := c.Read(); err != nil || len(m.Data) != 100_000 {
		t.Fatalf("got %d bytes, %v", len(m.Data), err)
	}
}

func TestInflatingWaitsForMemoryAndBeginsAnew(t *testing.T) {
	shared := NewShared(200_000)
	long := strings.Repeat("half of it is the same ", 2000)
	others := shared.Memory.Claim(nil)
	others.TryGrow(140_000)
	lane := shared.Memory.Claim(nil)
	lane.TryGrow(100)
	lane.TryGrow(50_000)
	c, p := packing(t, shared, Limits{MessageLimit: int64(len(long))})
	p.say(t, masked(0xc1, packed(long)))
	got := make(chan error, 1)
	go func() {
		m, err := c.Read()
		if err == nil && string(m.Data) != long {
			err = errors.New("other bytes")
		}
		got <- err
	}()
	waitFor(t, "the message to wait", func() bool { return shared.Stats.MemoryWaits.Load() == 1 })
	others.Keep(0)
	lane.Keep(0)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if used := shared.Memory.Used(); used != int64(len(long)) {
		t.Errorf("%d bytes are held for a message of %d", used, len(long))
	}
}

func TestHeaderThatHasBegunHoldsNoBuffer(t *testing.T) {
	const clients = 200
	shared := NewShared(0)
	var before, after runtime.MemStats
	var conns []*Conn
	var peers []*peer
	for range clients {
		c, p := pairOf(t, shared, "unix", Limits{})
		conns, peers = append(conns, c), append(peers, p)
	}
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i, c := range conns {
		go readEnd(c)
		peers[i].say(t, masked(0x81, "begun")[:1])
	}
	waitFor(t, "all to be read", func() bool { return shared.Stats.BytesIn.Load() == clients })
	runtime.GC()
	runtime.GC() // spare buffers go with the second
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > clients*inputBuffer/4 {
		t.Errorf("%d clients that have sent a byte hold %d KiB", clients, grown>>10)
	}
}

func TestInputThatWaitsForItsTurnIsCounted(t *testing.T) {
	shared := NewShared(1 << 20)
	c, p := pairOf(t, shared, "unix", Limits{})
	p.say(t, masked(0x81, "one"), masked(0x81, "two"))
	for _, want := range []int64{3 + inputBuffer, 6} {
		if _, err := c.Read(); err != nil {
			t.Fatal(err)
		}
		if used := shared.Memory.Used(); used != want {
			t.Errorf("%d bytes are counted, want %d", used, want)
		}
	}
	p.say(t, masked(0x81, "three"), masked(0x81, "four"))
	if _, err := c.Read(); err != nil {
		t.Fatal(err)
	}
	c.CloseNow()
	if used := shared.Memory.Used(); used != 11 {
		t.Errorf("%d bytes are counted after the end, want 11", used)
	}
}
