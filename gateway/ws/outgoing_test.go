package ws

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"wsfpm/gateway/out"
	"wsfpm/session"
)

// As package out has them.
const (
	writerMemory = 4 << 10
	pieceMemory  = 32
)

// ofBytes is an outbound message of so many bytes.
func ofBytes(size int) *session.Message {
	return session.NewMessage(true, bytes.Repeat([]byte("x"), size))
}

func TestSlowestReaderGoesFirstWhenMemoryIsFull(t *testing.T) {
	const size = 3 << 20 // far more than a unix socket takes
	s := NewShared(0)
	s.Outgoing.Resize(2*size + size/2)
	var conns []*Conn
	var peers []*peer
	stall := func() {
		c, p := pairOf(t, s, "unix", Limits{})
		conns, peers = append(conns, c), append(peers, p)
		go readEnd(c)
		if err := c.QueueReply(ofBytes(size)); err != nil {
			t.Fatal(err)
		}
		c.Flush()
	}
	stall()
	stall()
	sent := conns[0].shared.Stats.BytesOut.Load()
	if _, err := io.CopyN(io.Discard, peers[0], size/2); err != nil { // the older one takes something
		t.Fatal(err)
	}
	waitFor(t, "its writer to go on", func() bool { return s.Stats.BytesOut.Load() > sent })
	stall()
	within(t, "the end of the one that has taken nothing", conns[1].Ended())
	wantCause(t, conns[1], 4408, false)
	if n := s.Stats.Snapshot(); n.OutgoingFull != 1 || n.SlowReaders != 1 {
		t.Errorf("got %+v", n)
	}
	for _, i := range []int{0, 2} {
		rest := int64(size + 10)
		if i == 0 {
			rest -= size / 2
		}
		if _, err := io.CopyN(io.Discard, peers[i], rest); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	waitFor(t, "nothing to wait", func() bool { return s.Outgoing.Used() == 0 })
}

func TestSlowReaderThatIsCutForMemorySeesWhy(t *testing.T) {
	s := NewShared(0)
	c, p := pairOf(t, s, "unix", Limits{Out: out.Limits{WriteTimeout: patience}})
	go readEnd(c)
	for range 100 {
		c.QueueReply(ofBytes(10_000))
	}
	c.Flush()
	s.Outgoing.Resize(1000)
	waitFor(t, "the cut", func() bool { return s.Stats.OutgoingFull.Load() == 1 })
	p.wantClose(t, 4408)
	p.say(t, masked(0x88, closePayload(4408, "")))
	within(t, "the end", c.Ended())
	waitFor(t, "nothing to wait", func() bool { return s.Outgoing.Used() == 0 })
}

func TestPushToManyThatStallCountsOnce(t *testing.T) {
	const clients, size = 20, 1 << 20
	s := NewShared(0)
	var conns []*Conn
	for range clients {
		c, _ := pairOf(t, s, "unix", Limits{})
		conns = append(conns, c)
		go readEnd(c)
		c.QueueReply(ofBytes(400_000))
		c.Flush()
	}
	before := s.Outgoing.Used()
	if least := int64(clients * (400_000 + writerMemory)); before < least || before > least+clients*1000 {
		t.Errorf("%d bytes wait, want a little more than %d", before, least)
	}
	push := ofBytes(size)
	for _, c := range conns {
		if err := c.Queue(push); err != nil {
			t.Fatal(err)
		}
	}
	if more := s.Outgoing.Used() - before; more != int64(conns[0].encoding(push).Len()+clients*pieceMemory) {
		t.Errorf("a push of %d bytes to %d clients counts %d", size, clients, more)
	}
	for _, c := range conns {
		c.CloseNow()
	}
	if used := s.Outgoing.Used(); used != 0 {
		t.Errorf("%d bytes are counted after the end", used)
	}
}

func TestClientThatKeepsUpCostsNoMemory(t *testing.T) {
	s := NewShared(0)
	s.Outgoing.Resize(1)
	c, p := pairOf(t, s, "unix", Limits{})
	go readEnd(c)
	for i := range 100 {
		c.Queue(text(fmt.Sprint(i)))
		c.Flush()
		p.want(t, 0x81, fmt.Sprint(i))
	}
	if used, n := s.Outgoing.Used(), s.Stats.OutgoingFull.Load(); used != 0 || n != 0 {
		t.Errorf("%d bytes are counted, %d connections closed", used, n)
	}
}

func TestManySlowReadersLeaveAsManyAsHaveRoom(t *testing.T) {
	const clients, size = 40, 400_000
	s := NewShared(0)
	s.Outgoing.Resize(clients / 2 * size)
	for range clients {
		c, _ := pairOf(t, s, "unix", Limits{})
		go readEnd(c)
		c.QueueReply(ofBytes(size))
		c.Flush()
	}
	waitFor(t, "room", func() bool { return s.Outgoing.Used() <= clients/2*size })
	if n := s.Stats.OutgoingFull.Load(); n < clients/2 || n > clients/2+2 {
		t.Errorf("%d of %d were closed, want about half", n, clients)
	}
}
