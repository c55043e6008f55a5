package ws

import (
	"strings"
	"testing"
	"time"
)

func TestFullBudgetSlowsReadingDown(t *testing.T) {
	shared := NewShared(1000)
	budget := shared.Memory
	c, p := pairOf(t, shared, "unix", Limits{AssemblyTimeout: patience})
	p.say(t, masked(0x81, strings.Repeat("a", 900)), masked(0x81, strings.Repeat("b", 900)))
	first, err := c.Read()
	if err != nil || budget.Used() != 900+inputBuffer { // the second has come, too
		t.Fatalf("got %v, %d bytes used", err, budget.Used())
	}
	second := make(chan error, 1)
	go func() {
		_, err := c.Read()
		second <- err
	}()
	waitFor(t, "the second message to wait", func() bool { return shared.Stats.MemoryWaits.Load() == 1 })
	budget.Release(int64(len(first.Data)))
	if err := <-second; err != nil || budget.Used() != 900 {
		t.Fatalf("got %v, %d bytes used", err, budget.Used())
	}
}

func TestMessageLargerThanTheBudgetPasses(t *testing.T) {
	shared := NewShared(1000)
	budget := shared.Memory
	c, p := pairOf(t, shared, "unix", Limits{})
	go p.say(t, masked(0x82, strings.Repeat("x", 1<<20)))
	if m, err := c.Read(); err != nil || len(m.Data) != 1<<20 || budget.Used() != 1<<20 {
		t.Fatalf("got %d bytes, %v, %d bytes used", len(m.Data), err, budget.Used())
	}
}

func TestMessagesThatFillTheBudgetTogetherAllPass(t *testing.T) {
	const clients = 8
	shared := NewShared(clients * 20_000)
	budget := shared.Memory
	done := make(chan error, clients)
	big := strings.Repeat("x", 500_000)
	var peers []*peer
	for range clients {
		c, p := pairOf(t, shared, "unix", Limits{})
		peers = append(peers, p)
		p.say(t, masked(0x02, big[:20_000]))
		go func() {
			m, err := c.Read()
			budget.Release(int64(len(m.Data)))
			done <- err
		}()
	}
	for _, p := range peers {
		go p.say(t, masked(0x80, big))
	}
	for range clients {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(patience):
			t.Fatal("messages wait for each other")
		}
	}
	if budget.Used() != 0 {
		t.Errorf("%d bytes are still held", budget.Used())
	}
}

func TestRefusedMessagesGiveTheirMemoryBack(t *testing.T) {
	shared := NewShared(1 << 20)
	budget := shared.Memory
	c, p := pairOf(t, shared, "unix", Limits{})
	p.say(t, masked(0x01, strings.Repeat("x", 50_000)), masked(0x80, "\xff"))
	readEnd(c)
	if budget.Used() != 0 {
		t.Errorf("%d bytes are still held", budget.Used())
	}
}

func TestEndWakesAReaderThatWaitsForMemory(t *testing.T) {
	shared := NewShared(10)
	budget := shared.Memory
	holder := budget.Claim(nil)
	holder.TryGrow(10)
	c, p := pairOf(t, shared, "unix", Limits{})
	p.say(t, masked(0x81, "some text"))
	over := make(chan struct{})
	go func() {
		readEnd(c)
		close(over)
	}()
	waitFor(t, "the reader to wait", func() bool { return shared.Stats.MemoryWaits.Load() == 1 })
	c.CloseNow()
	within(t, "Read's end", over)
	holder.Keep(0)
	if budget.Used() != 0 {
		t.Errorf("%d bytes are held", budget.Used())
	}
}

func TestResizeLetsWaitersGoOn(t *testing.T) {
	shared := NewShared(10)
	budget := shared.Memory
	holder := budget.Claim(nil)
	holder.TryGrow(10)
	c, p := pairOf(t, shared, "unix", Limits{})
	p.say(t, masked(0x81, "some text"))
	over := make(chan error, 1)
	go func() {
		_, err := c.Read()
		over <- err
	}()
	waitFor(t, "the reader to wait", func() bool { return shared.Stats.MemoryWaits.Load() == 1 })
	budget.Resize(0)
	if err := <-over; err != nil {
		t.Fatal(err)
	}
}
