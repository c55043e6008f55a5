package ws

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/gateway/out"
	"wsfpm/session"
)

func TestTooManyPushesThatWaitCloseTheConnection(t *testing.T) {
	s := NewShared(0)
	defer s.Wheel.Stop()
	c := New(&Limits{Out: out.Limits{QueueLimit: 1 << 20, QueueMessages: 3}}, s)
	for i := range 3 {
		if err := c.Queue(text("push")); err != nil {
			t.Fatalf("push %d: %v", i, err)
		}
	}
	if err := c.QueueReply(text("reply")); err != nil {
		t.Fatalf("a reply beyond the limit: %v", err)
	}
	if err := c.Queue(text("one too many")); !errors.Is(err, ErrSlow) {
		t.Fatalf("got %v, want ErrSlow", err)
	}
	if n := s.Stats.Snapshot(); n.QueueTooLong != 1 || n.QueueFull != 0 || n.SlowReaders != 1 {
		t.Errorf("got %+v", n)
	}
}

func TestPushesThatWereWrittenDoNotCount(t *testing.T) {
	c, p := pair(t, "tcp", Limits{Out: out.Limits{QueueMessages: 1}})
	go c.Read()
	for i := range 100 {
		if err := c.Queue(text(fmt.Sprint(i))); err != nil {
			t.Fatalf("push %d: %v", i, err)
		}
		c.Flush()
		p.want(t, 0x81, fmt.Sprint(i))
		waitFor(t, "an empty queue", func() bool { return c.Buffered() == 0 })
	}
}

func TestLargeFramesAreNotTooManyFragments(t *testing.T) {
	c, p := pair(t, "tcp", Limits{MessageLimit: 1 << 20, MaxFragments: 2})
	large := strings.Repeat("x", smallFrame)
	sent := masked(0x01, large)
	for range 100 {
		sent = append(sent, masked(0x00, large)...)
	}
	go p.Write(append(sent, masked(0x80, "the rest")...))
	if m, err := c.Read(); err != nil || len(m.Data) != 101*smallFrame+len("the rest") {
		t.Fatalf("got %d bytes, %v", len(m.Data), err)
	}
	p.say(t, masked(0x01, "a"), masked(0x00, "b"), masked(0x80, "c"))
	if _, err := c.Read(); err == nil {
		t.Fatal("a message in three small frames was taken")
	}
	wantCause(t, c, 1008, false)
}

func TestEachLimitIsCounted(t *testing.T) {
	limits := Limits{MessageLimit: 1000, MaxFragments: 2, ControlRate: 1e-9, ControlBurst: 1}
	for name, test := range map[string]struct {
		sent  []byte
		count func(*Snapshot) int64
	}{
		"MessageLimit": {masked(0x82, strings.Repeat("x", 1001)), func(s *Snapshot) int64 { return s.MessagesTooLarge }},
		"MaxFragments": {[]byte(string(masked(0x01, "")) + string(masked(0x00, "")) + string(masked(0x80, ""))), func(s *Snapshot) int64 { return s.TooManyFragments }},
		"ControlRate":  {[]byte(string(masked(0x8a, "")) + string(masked(0x8a, ""))), func(s *Snapshot) int64 { return s.TooManyControls }},
	} {
		t.Run(name, func(t *testing.T) {
			c, p := pair(t, "tcp", limits)
			p.say(t, test.sent)
			if _, err := c.Read(); err == nil {
				t.Fatal("got a message")
			}
			if s := c.shared.Stats.Snapshot(); test.count(&s) != 1 {
				t.Errorf("got %+v", s)
			}
		})
	}
}

func TestLimitsOfTimeAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := piped(t, Limits{AssemblyTimeout: time.Second})
		go p.Write(masked(0x01, "begun"))
		go func() {
			for {
				if _, err := p.frame(); err != nil {
					return
				}
			}
		}()
		if _, err := c.Read(); err == nil {
			t.Fatal("got a message")
		}
		if n := c.shared.Stats.MessagesTooSlow.Load(); n != 1 {
			t.Errorf("%d were counted, want 1", n)
		}
	})
	c, _ := pair(t, "tcp", Limits{Out: out.Limits{WriteTimeout: 50 * time.Millisecond}})
	go c.Read()
	_ = c.QueueReply(session.NewMessage(true, make([]byte, 64<<20)))
	c.Flush()
	within(t, "the end", c.Ended())
	if s := c.shared.Stats.Snapshot(); s.WritesStalled != 1 || s.SlowReaders != 1 {
		t.Errorf("got %+v", s)
	}
}
