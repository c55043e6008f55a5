package ws

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/gateway/out"
	"wsfpm/session"
)

// readEnd reads until the connection ends and returns the messages.
func readEnd(c *Conn) (messages []Message) {
	for {
		m, err := c.Read()
		if err != nil {
			return messages
		}
		messages = append(messages, m)
	}
}

func TestFramesStayWholeAndInOrder(t *testing.T) {
	for _, network := range []string{"unix", "tcp", "pipe"} {
		t.Run(network, func(t *testing.T) {
			const senders, each, pings = 8, 100, 100
			o := Limits{Out: out.Limits{WriteTimeout: patience}, PingInterval: time.Millisecond, PongTimeout: patience}
			var c *Conn
			var p *peer
			if network == "pipe" {
				c, p = piped(t, o)
			} else {
				c, p = pair(t, network, o)
			}
			var all sync.WaitGroup
			all.Go(func() { // before the Close frame, so that none is thrown away
				for i := range pings {
					if _, err := c.Read(); err != nil {
						t.Errorf("message %d: %v", i, err)
						return
					}
				}
			})
			for s := range senders {
				all.Go(func() {
					for i := range each {
						m := text(fmt.Sprintf("%d %d %s", s, i, strings.Repeat("x", i*i%20000)))
						if i%2 == 0 {
							c.Queue(m)
						} else {
							c.QueueReply(m)
						}
						c.Flush()
					}
				})
			}
			all.Go(func() { // the client talks, too
				for i := range pings {
					p.say(t, masked(0x89, strconv.Itoa(i)), masked(0x01, "a"), masked(0x80, "b"))
				}
			})
			over := make(chan []Message, 1)
			go func() {
				all.Wait()
				c.Close(1000, "done")
				over <- readEnd(c)
			}()
			next, lastPong := checkStream(t, p, each)
			for s := range senders {
				if next[s] != each {
					t.Errorf("sender %d: got %d messages, want %d", s, next[s], each)
				}
			}
			if lastPong != pings-1 {
				t.Errorf("got pong %d last, want %d", lastPong, pings-1)
			}
			p.say(t, masked(0x88, ""))
			if late := <-over; len(late) > 0 {
				t.Errorf("got %d messages behind the last", len(late))
			}
			within(t, "the end", c.Ended())
			if code, _, _ := c.Cause(); code != 1000 { // a late client's Close frame may find the socket closed
				t.Errorf("got cause %d, want 1000", code)
			}
		})
	}
}

// checkStream reads to the Close frame. It checks that every sender's messages
// come in order, and pongs too, and returns how far they came.
func checkStream(t *testing.T, p *peer, each int) (next map[int]int, lastPong int) {
	t.Helper()
	next, lastPong = make(map[int]int), -1
	for {
		p.SetReadDeadline(time.Now().Add(patience))
		f, err := p.frame()
		if err != nil {
			t.Fatal(err)
		}
		switch f.first {
		case 0x88:
			return next, lastPong
		case 0x89:
		case 0x8a:
			n, err := strconv.Atoi(string(f.payload))
			if err != nil || n <= lastPong {
				t.Fatalf("got pong %q after %d", f.payload, lastPong)
			}
			lastPong = n
		case 0x81:
			var s, i int
			var filling string
			fmt.Sscanf(string(f.payload), "%d %d %s", &s, &i, &filling)
			if i != next[s] || len(filling) != i*i%20000 {
				t.Fatalf("got message %d of sender %d with %d bytes, want %d", i, s, len(filling), next[s])
			}
			next[s]++
		default:
			t.Fatalf("got frame %#x %.40q", f.first, f.payload)
		}
	}
}

func TestStalledReaderIsClosed(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			const limit = 1 << 20
			c, p := pair(t, network, Limits{Out: out.Limits{QueueLimit: limit, WriteTimeout: 300 * time.Millisecond}})
			go c.Read()
			m := session.NewMessage(true, bytes.Repeat([]byte("x"), 100_000))
			var err error
			for err == nil {
				if c.Buffered() > limit {
					t.Fatalf("%d bytes wait", c.Buffered())
				}
				err = c.Queue(m)
				c.Flush()
			}
			if !errors.Is(err, ErrSlow) {
				t.Fatalf("got %v, want ErrSlow", err)
			}
			waitFor(t, "no more than one frame that has begun and the Close frame", func() bool {
				return c.Buffered() <= int64(len(m.Data())+100)
			})
			if !c.out.State().Closing {
				t.Error("no Close frame waits behind the cut")
			}
			if err := c.Queue(m); !errors.Is(err, ErrClosed) {
				t.Errorf("got %v, want ErrClosed", err)
			}
			within(t, "the end", c.Ended())
			wantCause(t, c, 4408, false)
			if n := c.shared.Stats.SlowReaders.Load(); n != 1 {
				t.Errorf("got %d slow readers", n)
			}
			for { // whole frames came, and at most the last is cut by the end
				p.SetReadDeadline(time.Now().Add(patience))
				f, err := p.frame()
				if err != nil {
					break
				}
				if f.first != 0x88 && (f.first != 0x82 || len(f.payload) != 100_000) {
					t.Fatalf("got frame %#x of %d bytes", f.first, len(f.payload))
				}
			}
		})
	}
}

func TestSlowReaderThatComesBackSeesWhy(t *testing.T) {
	c, p := pair(t, "tcp", Limits{Out: out.Limits{QueueLimit: 1 << 20, WriteTimeout: patience}})
	go readEnd(c)
	m := session.NewMessage(true, bytes.Repeat([]byte("x"), 100_000))
	for c.Queue(m) == nil {
		c.Flush()
	}
	c.Flush()
	p.wantClose(t, 4408)
	p.say(t, masked(0x88, closePayload(4408, "")))
	within(t, "the end", c.Ended())
	wantCause(t, c, 4408, true)
}

func TestUnreadReplyEndsWithTheWriteTimeout(t *testing.T) {
	c, _ := pair(t, "tcp", Limits{Out: out.Limits{QueueLimit: 1000, WriteTimeout: 100 * time.Millisecond}})
	go c.Read()
	c.QueueReply(session.NewMessage(true, make([]byte, 64<<20)))
	c.Flush()
	if err := c.Drained(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, "the end", c.Ended())
	wantCause(t, c, 4408, false)
}

func TestProgressRenewsTheWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 200 * time.Millisecond
		c, p := piped(t, Limits{Out: out.Limits{QueueLimit: 1 << 20, WriteTimeout: timeout}})
		go readEnd(c)
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB
		start := time.Now()
		c.QueueReply(session.NewMessage(true, big))
		c.Queue(text("behind"))
		c.Flush()
		got := make([]byte, len(big)+10)
		for n := 0; n < len(got); { // slow: the whole takes several timeouts
			part := min(len(got)-n, 1<<20)
			if _, err := io.ReadFull(p, got[n:n+part]); err != nil {
				t.Fatalf("after %d bytes: %v", n, err)
			}
			n += part
			time.Sleep(timeout / 4)
		}
		if took := time.Since(start); took < 2*timeout {
			t.Fatalf("took %v: nothing was tested", took)
		}
		if !bytes.Equal(got[10:], big) {
			t.Fatal("got other bytes")
		}
		p.want(t, 0x81, "behind")
		if err := c.Drained(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * timeout) // the deadline of the waiting write must not outlive it
		go func() {
			c.Queue(text("later"))
			c.Flush()
		}()
		p.want(t, 0x81, "later")
	})
}

func TestPongDoesNotLandInsideAFrame(t *testing.T) {
	c, p := pair(t, "tcp", Limits{Out: out.Limits{WriteTimeout: patience}})
	big := strings.Repeat("x", 32<<20)
	c.Queue(text(big))
	c.Queue(text("next"))
	c.Flush() // fills the socket
	for i := range 10 {
		p.say(t, masked(0x89, strconv.Itoa(i)))
	}
	p.say(t, masked(0x89, "last"), masked(0x81, "all pings have come"))
	if _, err := c.Read(); err != nil {
		t.Fatal(err)
	}
	go readEnd(c)
	p.want(t, 0x81, big)
	p.want(t, 0x8a, "last")
	p.want(t, 0x81, "next")
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

func TestCloseIsTheLastFrame(t *testing.T) {
	c, p := pair(t, "tcp", Limits{Out: out.Limits{WriteTimeout: patience}})
	go readEnd(c)
	c.Queue(text(strings.Repeat("x", 32<<20)))
	c.Queue(text("before"))
	c.Close(4001, strings.Repeat("é", 100))
	c.Close(4002, "second")
	for _, err := range []error{c.Queue(text("after")), c.QueueReply(text("after"))} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
	p.say(t, masked(0x89, "pong me"), masked(0x81, "too late"))
	p.want(t, 0x81, strings.Repeat("x", 32<<20))
	p.want(t, 0x81, "before")
	p.want(t, 0x88, closePayload(4001, strings.Repeat("é", 61)))
	p.say(t, masked(0x88, closePayload(4001, "")))
	p.wantEnd(t)
	within(t, "the end", c.Ended())
	wantCause(t, c, 4001, true)
}

func TestMessagesBehindOurCloseAreThrownAway(t *testing.T) {
	c, p := pair(t, "unix", Limits{})
	c.Close(1000, "")
	p.say(t, masked(0x81, "too late"), masked(0x88, closePayload(1000, "")))
	if messages := readEnd(c); len(messages) > 0 {
		t.Fatalf("got %q", messages[0].Data)
	}
	wantCause(t, c, 1000, true)
}

func TestDrainedWaitsForTheBound(t *testing.T) {
	c, p := pair(t, "tcp", Limits{Out: out.Limits{QueueLimit: 1000, WriteTimeout: patience}})
	if err := c.Drained(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.QueueReply(session.NewMessage(true, make([]byte, 32<<20)))
	c.Flush()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Drained(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the context's error", err)
	}
	if err := c.Queue(text("a push behind a large reply")); err != nil {
		t.Fatalf("got %v: a reply must not count against pushes", err)
	}
	drained := make(chan error, 1)
	go func() { drained <- c.Drained(t.Context()) }()
	if _, err := p.frame(); err != nil {
		t.Fatal(err)
	}
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
}

func TestLargePushPassesAlone(t *testing.T) {
	c, p := pair(t, "tcp", Limits{Out: out.Limits{QueueLimit: 1000}})
	if err := c.Queue(text(strings.Repeat("x", 2000))); err != nil {
		t.Fatal(err)
	}
	c.Flush()
	p.want(t, 0x81, strings.Repeat("x", 2000))
}

func TestManySmallFramesInOneGo(t *testing.T) {
	c, p := pair(t, "unix", Limits{})
	for i := range 1000 {
		c.Queue(text(strconv.Itoa(i)))
	}
	c.Flush()
	for i := range 1000 {
		p.want(t, 0x81, strconv.Itoa(i))
	}
}

func TestWriteOverAnyConn(t *testing.T) {
	server, client := net.Pipe()
	c := upgraded(t, server, Limits{Out: out.Limits{WriteTimeout: 50 * time.Millisecond}})
	p := newPeer(client)
	c.Queue(text(strings.Repeat("x", 100_000)))
	c.Flush()
	p.want(t, 0x81, strings.Repeat("x", 100_000))
	c.Queue(text("never read"))
	c.Flush()
	within(t, "the end", c.Ended())
	wantCause(t, c, 4408, false)
}
