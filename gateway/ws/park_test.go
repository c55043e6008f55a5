package ws

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
)

// reader calls Next as an owner does, and hands out what it returns.
type reader struct {
	c        *Conn
	messages chan string
	parked   chan struct{} // told each time it is parked
	end      chan error
}

func newReader(c *Conn) *reader {
	r := &reader{c: c, messages: make(chan string, 100), parked: make(chan struct{}, 100), end: make(chan error, 1)}
	go r.Wake()
	return r
}

func (r *reader) Wake() {
	for {
		m, err := r.c.Next(r)
		switch {
		case errors.Is(err, ErrIdle):
			r.parked <- struct{}{}
			return
		case err != nil:
			r.end <- err
			return
		}
		r.messages <- string(m.Data)
	}
}

func (r *reader) want(t *testing.T, text string) {
	t.Helper()
	select {
	case got := <-r.messages:
		if got != text {
			t.Fatalf("got %q, want %q", got, text)
		}
	case <-time.After(patience):
		t.Fatalf("got nothing, want %q", text)
	}
}

func (r *reader) wantParked(t *testing.T) {
	t.Helper()
	select {
	case <-r.parked:
	case <-time.After(patience):
		t.Fatal("the connection is not parked")
	}
}

func (r *reader) wantEnd(t *testing.T) {
	t.Helper()
	select {
	case <-r.end:
	case <-time.After(patience):
		t.Fatal("the connection did not end")
	}
}

func TestSilentClientIsParked(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			c, p := pair(t, network, Limits{})
			r := newReader(c)
			r.wantParked(t)
			p.say(t, masked(0x01, "in two "), masked(0x80, "parts"))
			r.want(t, "in two parts")
			p.say(t, masked(0x81, "again"))
			r.want(t, "again")
			p.say(t, masked(0x8a, "")) // a pong: the client has fallen silent
			r.wantParked(t)
			for range 3 {
				p.say(t, masked(0x89, "ping"))
				p.want(t, 0x8a, "ping")
				r.wantParked(t)
			}
			p.say(t, masked(0x81, "ti")[:5])
			p.say(t, masked(0x81, "ti")[5:], masked(0x88, ""))
			r.want(t, "ti")
			p.want(t, 0x88, "")
			r.wantEnd(t)
		})
	}
}

func TestParkedConnectionEnds(t *testing.T) {
	for name, end := range map[string]func(*Conn, *peer){
		"by CloseNow":         func(c *Conn, _ *peer) { c.CloseNow() },
		"by Close":            func(c *Conn, p *peer) { c.Close(1000, ""); p.wantClose(t, 1000); p.Close() },
		"by the client":       func(_ *Conn, p *peer) { p.Close() },
		"by half a close":     func(_ *Conn, p *peer) { p.Conn.(interface{ CloseWrite() error }).CloseWrite() },
		"by a broken frame":   func(_ *Conn, p *peer) { p.Write([]byte{0xff, 0xff}) },
		"by the wheel's stop": func(c *Conn, _ *peer) { c.shared.Wheel.Stop(); c.CloseNow() },
	} {
		t.Run(name, func(t *testing.T) {
			c, p := pair(t, "tcp", Limits{})
			r := newReader(c)
			r.wantParked(t)
			end(c, p)
			r.wantEnd(t)
			within(t, "the end", c.Ended())
		})
	}
}

func TestParkedClientThatDoesNotAnswerIsLost(t *testing.T) {
	c, p := pair(t, "tcp", Limits{PingInterval: 50 * time.Millisecond, PongTimeout: 40 * time.Millisecond})
	r := newReader(c)
	r.wantParked(t)
	p.want(t, 0x89, "")
	p.say(t, masked(0x8a, ""))
	r.wantParked(t)
	go io.Copy(io.Discard, p)
	r.wantEnd(t)
	wantCause(t, c, 1006, false)
	if n := c.shared.Stats.PongsMissed.Load(); n != 1 {
		t.Errorf("%d pongs were missed, want 1", n)
	}
}

func TestBusyConnectionIsNotParked(t *testing.T) {
	c, p := pair(t, "unix", Limits{})
	r := newReader(c)
	r.wantParked(t)
	for range 1000 {
		p.say(t, masked(0x81, "one by one"))
		r.want(t, "one by one")
	}
	if len(r.parked) > 0 {
		t.Error("parked between messages")
	}
}

func TestParkedConnectionsNeedNoGoroutines(t *testing.T) {
	shared := NewShared(0)
	const n = 300 // more than the watch takes at a time, more than there are spares
	before := runtime.NumGoroutine()
	var peers []*peer
	var readers []*reader
	for range n {
		c, p := pairOf(t, shared, "unix", Limits{})
		r := newReader(c)
		r.wantParked(t)
		peers, readers = append(peers, p), append(readers, r)
	}
	waitFor(t, "rest", func() bool { return runtime.NumGoroutine() <= before+1 })
	if spares := len(shared.Wheel.spares); spares != mostSpares {
		t.Errorf("%d libraries are spare, want %d", spares, mostSpares)
	}
	long := strings.Repeat("x", 100_000)
	for i, p := range peers {
		p.say(t, masked(0x81, long))
		readers[i].want(t, long)
	}
}
