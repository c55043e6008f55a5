package ws

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wsfpm/gateway/out"
)

// serve starts a real HTTP server whose connections make is given.
func serve(t *testing.T, handle http.HandlerFunc) (address string) {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

const request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v1, v2\r\n\r\n"

func TestUpgradeKeepsWhatWasQueuedAndPipelined(t *testing.T) {
	echoed := make(chan string, 1)
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		c := New(&Limits{MessageLimit: 100}, NewShared(0))
		c.Queue(text("first"))
		c.Flush()
		w.Header().Set("Set-Cookie", "a=b")
		if err := c.Upgrade(w, r, "v2"); err != nil {
			t.Error(err)
			return
		}
		c.Queue(text("second"))
		c.Flush()
		go func() {
			m, err := c.Read()
			if err != nil {
				t.Error(err)
			}
			echoed <- string(m.Data)
			readEnd(c)
		}()
	})
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p := newPeer(client)
	p.say(t, []byte(request), masked(0x81, "pipelined"))
	answer, err := http.ReadResponse(p.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != 101 || answer.Header.Get("Set-Cookie") != "a=b" ||
		answer.Header.Get("Sec-WebSocket-Protocol") != "v2" || answer.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("got %v %v", answer.StatusCode, answer.Header)
	}
	p.want(t, 0x81, "first")
	p.want(t, 0x81, "second")
	if got := <-echoed; got != "pipelined" {
		t.Fatalf("got %q", got)
	}
}

func TestUpgradeRefusesABadHandshake(t *testing.T) {
	c := New(&Limits{}, NewShared(0))
	w := httptest.NewRecorder()
	r := handshake()
	r.Header.Del("Sec-WebSocket-Key")
	if err := c.Upgrade(w, r, ""); err == nil || w.Code != http.StatusBadRequest {
		t.Fatalf("got %v, status %d", err, w.Code)
	}
	if err := c.Queue(text("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestClosedBeforeUpgrade(t *testing.T) {
	server, client := sockets(t, "tcp")
	c := New(&Limits{}, NewShared(0))
	c.CloseNow()
	if err := c.Upgrade(&hijacked{header: http.Header{}, conn: server}, handshake(), ""); !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v, want ErrClosed", err)
	}
	newPeer(client).wantEnd(t)
	within(t, "the end", c.Ended())
}

func TestClosingBeforeUpgrade(t *testing.T) {
	server, client := sockets(t, "tcp")
	c := New(&Limits{}, NewShared(0))
	c.Queue(text("hello"))
	c.Close(4000, "and bye")
	if err := c.Upgrade(&hijacked{header: http.Header{}, conn: server}, handshake(), ""); err != nil {
		t.Fatal(err)
	}
	p := newPeer(client)
	p.want(t, 0x81, "hello")
	p.want(t, 0x88, closePayload(4000, "and bye"))
	p.say(t, masked(0x88, ""))
	readEnd(c)
	wantCause(t, c, 4000, true)
	within(t, "the end", c.Ended())
}

func TestLostClientIsNoticedAtOnce(t *testing.T) {
	for name, leave := range map[string]func(*peer){
		"end of stream": func(p *peer) { p.Close() },
		"half closed":   func(p *peer) { p.Conn.(*net.TCPConn).CloseWrite() },
		"reset": func(p *peer) {
			p.Conn.(*net.TCPConn).SetLinger(0)
			p.Close()
		},
		"in a frame": func(p *peer) {
			p.Write(masked(0x81, "cut off")[:9])
			p.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, p := pair(t, "tcp", Limits{})
			over := make(chan error, 1)
			go func() {
				_, err := c.Read()
				over <- err
			}()
			leave(p)
			select {
			case err := <-over:
				if err == nil {
					t.Fatal("got a message")
				}
			case <-time.After(patience):
				t.Fatal("Read still waits")
			}
			within(t, "the end", c.Ended())
			wantCause(t, c, 1006, false)
		})
	}
}

func TestNothingIsLostWhenTheClientLeavesWithoutReading(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			c, p := pair(t, network, Limits{Out: out.Limits{WriteTimeout: patience}})
			p.say(t, masked(0x81, "one"), masked(0x81, "two"), masked(0x88, closePayload(1000, "")))
			p.Close()
			waitFor(t, "the client's absence", func() bool { // its kernel resets what is written to it
				c.Queue(text("are you there?"))
				c.Flush()
				return c.out.State().Failed
			})
			if messages := readEnd(c); len(messages) != 2 || string(messages[1].Data) != "two" {
				t.Fatalf("got %d messages, want 2", len(messages))
			}
			wantCause(t, c, 1000, true)
			within(t, "the end", c.Ended())
		})
	}
}

func TestCloseNowWakesEverybody(t *testing.T) {
	c, _ := pair(t, "tcp", Limits{Out: out.Limits{QueueLimit: 1}})
	c.QueueReply(text(strings.Repeat("x", 32<<20)))
	c.Flush()
	over := make(chan struct{})
	go func() {
		readEnd(c)
		c.Drained(t.Context())
		close(over)
	}()
	c.CloseNow()
	within(t, "the end", c.Ended())
	within(t, "Read's and Drained's end", over)
	wantCause(t, c, 1006, false)
	if _, err := c.Read(); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if c.Buffered() != 0 {
		t.Errorf("%d bytes still wait", c.Buffered())
	}
}

func TestEndedConnectionsAreFreed(t *testing.T) {
	ends := map[string]func(*Conn, *peer){
		"closed now": func(c *Conn, _ *peer) { c.CloseNow() },
		"closed under a Read": func(c *Conn, _ *peer) {
			over := make(chan struct{})
			go func() {
				readEnd(c)
				close(over)
			}()
			waitFor(t, "Read", func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.active
			})
			c.CloseNow()
			<-over
		},
		"closed by the client":        func(c *Conn, p *peer) { p.Write(masked(0x88, "")); readEnd(c) },
		"lost":                        func(c *Conn, p *peer) { p.Close(); readEnd(c) },
		"refused":                     func(c *Conn, p *peer) { p.Write([]byte{0x81, 0}); readEnd(c); p.Close() },
		"closed without another Read": func(c *Conn, p *peer) { c.Close(1000, ""); c.CloseNow() },
	}
	shared := NewShared(0)
	defer shared.Wheel.Stop()
	var freed atomic.Int64
	for _, end := range ends {
		server, client := sockets(t, "unix")
		c := New(&Limits{PingInterval: time.Hour}, shared)
		runtime.AddCleanup(c, func(int) { freed.Add(1) }, 0)
		if err := c.Upgrade(&hijacked{header: http.Header{}, conn: server}, handshake(), ""); err != nil {
			t.Fatal(err)
		}
		end(c, &peer{client, bufio.NewReader(client)})
		within(t, "the end", c.Ended())
	}
	waitFor(t, "the collector", func() bool {
		runtime.GC()
		return freed.Load() == int64(len(ends))
	})
}
