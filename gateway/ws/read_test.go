package ws

import (
	"errors"
	"strings"
	"testing"

	"wsfpm/gateway/out"
)

func TestReadReturnsMessagesInOrder(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			c, p := pair(t, network, Limits{MessageLimit: 1 << 20})
			big := strings.Repeat("x", 1<<20)
			go p.say(t, masked(0x81, "one"), masked(0x82, "two"), masked(0x81, ""), masked(0x82, big),
				masked(0x01, "fr"), masked(0x89, "p"), masked(0x80, "ag"))
			for _, want := range []struct {
				binary bool
				data   string
			}{{false, "one"}, {true, "two"}, {false, ""}, {true, big}, {false, "frag"}} {
				m, err := c.Read()
				if err != nil {
					t.Fatal(err)
				}
				if m.Binary != want.binary || string(m.Data) != want.data {
					t.Fatalf("got %v %.20q (%d bytes), want %v %.20q", m.Binary, m.Data, len(m.Data), want.binary, want.data)
				}
				if cap(m.Data) != len(m.Data) {
					t.Errorf("got capacity %d for %d bytes", cap(m.Data), len(m.Data))
				}
			}
			p.want(t, 0x8a, "p")
		})
	}
}

func TestReadEndsWithTheClientsClose(t *testing.T) {
	c, p := pair(t, "tcp", Limits{})
	p.say(t, masked(0x81, "last words"), masked(0x88, closePayload(4000, "bye")))
	if m, err := c.Read(); err != nil || string(m.Data) != "last words" {
		t.Fatalf("got %q, %v", m.Data, err)
	}
	_, err := c.Read()
	var closed CloseError
	if !errors.As(err, &closed) || closed != (CloseError{4000, "bye"}) {
		t.Fatalf("got %v, want the client's Close", err)
	}
	if _, again := c.Read(); again != err {
		t.Errorf("got %v from the next Read, want the same error", again)
	}
	p.want(t, 0x88, closePayload(4000, "bye"))
	p.wantEnd(t)
	within(t, "the end", c.Ended())
	wantCause(t, c, 4000, true)
}

func TestEchoComesBehindWhatWaits(t *testing.T) {
	c, p := pair(t, "tcp", Limits{Out: out.Limits{WriteTimeout: patience}})
	c.QueueReply(text(strings.Repeat("x", 32<<20)))
	c.Flush()
	p.say(t, masked(0x88, closePayload(1000, "")))
	if _, err := c.Read(); !errors.As(err, new(CloseError)) {
		t.Fatalf("got %v, want a CloseError", err)
	}
	p.want(t, 0x81, strings.Repeat("x", 32<<20))
	p.want(t, 0x88, closePayload(1000, ""))
	p.wantEnd(t)
	within(t, "the end", c.Ended())
}

func TestAnnouncedLengthTakesNoMemory(t *testing.T) {
	shared := NewShared(1 << 40)
	budget := shared.Memory
	c, p := pairOf(t, shared, "unix", Limits{})
	huge := []byte{0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4, 'x'}
	p.say(t, huge)
	go c.Read()
	waitFor(t, "the first byte", func() bool { return budget.Used() > 0 })
	if used := budget.Used(); used > out.Small {
		t.Errorf("%d bytes are held for one that came", used)
	}
}
