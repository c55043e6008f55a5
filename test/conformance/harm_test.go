package conformance

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// announce is the header of a frame with a length in eight bytes.
func announce(first byte, length uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{first, 0xff}, length), 1, 2, 3, 4)
}

// TestHeadersThatBreakTheRules are cases that the matrix lacks (RFC 6455, 5.1
// and 5.2).
func TestHeadersThatBreakTheRules(t *testing.T) {
	short := binary.BigEndian.AppendUint16([]byte{fin | binaryData, 0xfe}, 125)
	cases := []testCase{
		{"unmasked", "frame without a mask", script{steps: sent([]byte{fin | text, 2, 'h', 'i'}), end: fails(1002)}.run},
		{"unmasked-close", "Close frame without a mask", script{steps: sent([]byte{fin | closing, 0}), end: fails(1002)}.run},
		{"long-16", "125 bytes in the form for 126 and more", script{steps: sent(append(short, 1, 2, 3, 4)), end: fails(1002)}.run},
		{"long-64", "65,535 bytes in the form for 65,536 and more", script{steps: sent(announce(fin|binaryData, 65535)), end: fails(1002)}.run},
		{"long-0", "no bytes in the longest form", script{steps: sent(announce(fin|text, 0)), end: fails(1002)}.run},
		{"2^63", "length of 2^63", script{steps: sent(announce(fin|binaryData, 1<<63)), end: fails(1002)}.run},
		{"2^64-1", "length of 16 EiB less one, one byte sent", script{steps: sent(announce(fin|binaryData, 1<<64-1), []byte("x")), end: fails(1002)}.run},
		{"2^63-1", "length of 8 EiB less one, one byte sent", script{steps: sent(announce(fin|binaryData, 1<<63-1), []byte("x")), end: fails(1009)}.run},
		{"2^63-1 in fragments", "second fragment of 8 EiB less one", script{steps: sent(frame(binaryData, "x"), announce(fin|continuation, 1<<63-1)), end: fails(1009)}.run},
	}
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		for _, c := range cases {
			t.Run(c.id, func(t *testing.T) {
				if r := c.play(t, at); r.verdict != ok {
					t.Errorf("%v: %s", r.verdict, r.why)
				}
			})
		}
	})
}

// TestMessageLimitIsExact sends one byte less than message_limit, as many, and
// one more, whole and in fragments.
func TestMessageLimitIsExact(t *testing.T) {
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		for _, n := range []int{smallLimit - 1, smallLimit, smallLimit + 1} {
			for _, fragment := range []int{n, n - 1, 1000} {
				s := fragmented(binaryData, n, fragment)
				if n > smallLimit {
					s.want, s.end = nil, fails(1009)
				}
				if r := s.run(at.open(t, "/small")); r.verdict != ok {
					t.Errorf("%d bytes in fragments of %d: %v: %s", n, fragment, r.verdict, r.why)
				}
			}
		}
		s := script{steps: sent(announce(fin|text, messageLimit+1)), end: fails(1009)}
		if r := s.run(at.open(t, "/echo")); r.verdict != ok { // exactly as many are case 9.1.6
			t.Errorf("16 MiB and a byte: %v: %s", r.verdict, r.why)
		}
	})
}

// TestAnnouncedLengthCostsNoMemory lets many clients announce the largest
// message allowed, and send one byte of it.
func TestAnnouncedLengthCostsNoMemory(t *testing.T) {
	const clients = 200
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		open := make([]*client, clients)
		for i := range open {
			open[i] = at.open(t, "/echo")
		}
		before := at.memory()
		for _, c := range open {
			// One packet: when the ping is answered, the rest has been read too.
			if err := c.send(slices.Concat(frame(fin|ping, ""), announce(fin|binaryData, messageLimit), []byte("x"))); err != nil {
				t.Fatal(err)
			}
			if got, err := c.next(); err != nil || got.kind != pong {
				t.Fatalf("got %v, %v, want a pong", got, err)
			}
		}
		if r := echo(text, 10, 0).run(at.open(t, "/echo")); r.verdict != ok {
			t.Fatalf("another client: %v: %s", r.verdict, r.why)
		}
		// The race detector holds several bytes for each that is in use.
		most := int64(clients * 64 * kib)
		if at.race {
			most *= 4
		}
		if grown := at.memory() - before; grown > most {
			t.Errorf("%d clients that announced 16 MiB each took %d KiB, want at most %d", clients, grown/kib, most/kib)
		}
	})
}

// TestPingFloodEndsWithoutHarmToOthers lets clients send pings as fast as they can,
// and come back when they are closed, while another one has its messages
// echoed.
func TestPingFloodEndsWithoutHarmToOthers(t *testing.T) {
	const clients, times = 4, 25
	forEachTarget(t, usual, func(t *testing.T, at *target) {
		var floods sync.WaitGroup
		over := make(chan struct{})
		for range clients {
			floods.Go(func() {
				for range times {
					flood(t, at.address)
				}
			})
		}
		go func() {
			floods.Wait()
			close(over)
		}()
		calm := at.open(t, "/echo")
		calm.SetDeadline(time.Now().Add(patienceForMuch))
		slowest, n := time.Duration(0), 0
		for done := false; !done || n < 100; n++ {
			start := time.Now()
			if err := calm.send(frame(fin|text, "calm")); err != nil {
				t.Fatal(err)
			}
			if got, err := calm.next(); err != nil || got != (item{text, "calm"}) {
				t.Fatalf("got %v, %v, want the echo", got, err)
			}
			slowest = max(slowest, time.Since(start))
			select {
			case <-over:
				done = true
			default:
			}
		}
		t.Logf("%d echoes beside the floods, the slowest after %v", n, slowest)
		if slowest > stack.Bound(2*time.Second) {
			t.Errorf("an echo took %v beside the floods", slowest)
		}
		at.awaitEnded(t, "1008", clients*times)
	})
}

// flood sends pings without reading, then looks how that ended.
func flood(t *testing.T, address string) {
	const pings, atOnce = 100_000, 1000
	c, err := open(address, "/echo")
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	some := bytes.Repeat(frame(fin|ping, "flood"), atOnce)
	for sent := 0; sent < pings && c.send(some) == nil; sent += atOnce {
		// Until the server has closed.
	}
	for {
		next, err := c.next()
		if err != nil {
			t.Errorf("the flood ended with %v, want a Close frame", err)
			return
		}
		if next.kind == closing {
			if next.code() != 1008 {
				t.Errorf("the flood ended with %v, want 1008", next)
			}
			return
		}
	}
}

// TestDripIsCutOff sends a message byte by byte for longer than
// assembly_timeout, one frame and many.
func TestDripIsCutOff(t *testing.T) {
	forEachTarget(t, brisk, func(t *testing.T, at *target) {
		one := frame(fin|text, strings.Repeat("x", 1000))
		many := frame(text, "x")
		for len(many) < 1000 {
			many = append(many, frame(continuation, "x")...)
		}
		for name, bytes := range map[string][]byte{"one frame": one, "many frames": many, "a ping": frame(fin|ping, strings.Repeat("x", 125))} {
			t.Run(name, func(t *testing.T) { drip(t, at.open(t, "/echo"), bytes) })
		}
	})
}

func drip(t *testing.T, c *client, b []byte) {
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	var all sync.WaitGroup
	defer all.Wait()
	over := make(chan struct{})
	all.Go(func() {
		for _, each := range b {
			select {
			case <-over:
				return
			case <-pace.C:
			}
			if c.send([]byte{each}) != nil {
				return
			}
		}
	})
	defer close(over)
	for {
		got, err := c.next()
		if err != nil || got.kind == closing && got.code() != 1008 {
			t.Errorf("got %v, %v, want close code 1008", got, err)
			return
		}
		if got.kind == closing {
			return
		}
	}
}

// TestDripWithinTheTimeIsFine is the other side of it.
func TestDripWithinTheTimeIsFine(t *testing.T) {
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		c := at.open(t, "/echo")
		s := echo(text, 100, 0)
		pace := time.NewTicker(5 * time.Millisecond)
		defer pace.Stop()
		for _, b := range s.steps[0].send {
			<-pace.C
			if err := c.send([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		s.steps = nil
		if r := s.run(c); r.verdict != ok {
			t.Errorf("%v: %s", r.verdict, r.why)
		}
	})
}

// TestSilentClientIsLost has one client that answers pings and one that does
// not: to the server it looks like a peer whose machine has gone.
func TestSilentClientIsLost(t *testing.T) {
	forEachTarget(t, brisk, func(t *testing.T, at *target) {
		silent, lively := at.open(t, "/echo"), at.open(t, "/echo")
		for at.ended(t)["1006"] == 0 {
			got, err := lively.next()
			if err != nil || got.kind != ping {
				t.Fatalf("the client that answers: got %v, %v, want a ping", got, err)
			}
			if err := lively.send(frame(fin|pong, got.payload)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := silent.next(); err != nil || got.kind != ping {
			t.Errorf("the silent client: got %v, %v, want a ping", got, err)
		}
		if err := lively.send(frame(fin|text, "here")); err != nil {
			t.Fatal(err)
		}
		got, err := lively.next()
		for err == nil && got.kind == ping {
			got, err = lively.next()
		}
		if err != nil || got != (item{text, "here"}) {
			t.Errorf("the client that answers: got %v, %v, want the echo", got, err)
		}
	})
}

// TestResetWithinAFrame breaks the connection by a reset, which takes away
// what was sent before.
func TestResetWithinAFrame(t *testing.T) {
	const clients = 20
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		for i := range clients {
			c := at.open(t, "/echo")
			whole := frame(fin|text, pattern(text, 1000))
			if err := c.send(whole[:1+i*50]); err != nil {
				t.Fatal(err)
			}
			if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
		at.awaitEnded(t, "1006", clients)
		if r := echo(text, 10, 0).run(at.open(t, "/echo")); r.verdict != ok {
			t.Errorf("afterwards: %v: %s", r.verdict, r.why)
		}
	})
}

// TestHalfClosedWithinAFrame ends the client's output in the middle of a
// frame: no message, no Close frame, and the server closes too.
func TestHalfClosedWithinAFrame(t *testing.T) {
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		c := at.open(t, "/echo")
		if err := c.send(frame(fin|text, "cut")[:8]); err != nil {
			t.Fatal(err)
		}
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := c.next(); !errors.Is(err, io.EOF) {
			t.Errorf("got %v, %v, want the end", got, err)
		}
		at.awaitEnded(t, "1006", 1)
	})
}
