package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// stampSize is the length of the time at the beginning of a pushed message.
const stampSize = 19

// stamped is a message of the given size that begins with the present time.
func stamped(size int) string {
	return fmt.Sprintf("%0*d%0*d", stampSize, time.Now().UnixNano(), size-stampSize, 0)
}

// crowd is thousands of WebSocket clients that only listen. One goroutine
// reads for all of them by epoll, without Go's poller, so that the generator
// costs as little as it can beside the server. Pings are answered.
type crowd struct {
	epoll int
	done  chan struct{} // closed when the reader has ended

	mu      sync.Mutex // guards what follows; the reader holds it while it reads
	changed sync.Cond  // after each batch of reads
	members []*member
	latency histogram // of stamped messages
	heard   int64     // messages
	last    time.Time // when the newest was heard
	lost    int       // members whose connection has ended
	closing bool
}

// member is one client of a crowd.
type member struct {
	file *os.File
	fd   int
	rest []byte // the beginning of a frame that has not come whole
}

func newCrowd() (*crowd, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	c := &crowd{epoll: fd, done: make(chan struct{})}
	c.changed.L = &c.mu
	go c.read()
	return c, nil
}

// open dials n clients, some at a time, and returns how long each dial took.
func (c *crowd) open(n, atATime int, dial func(i int) (*webSocket, error)) (*histogram, error) {
	var took histogram
	var errs []error
	var mu sync.Mutex // guards took and errs
	var dialing sync.WaitGroup
	next := make(chan int)
	for range atATime {
		dialing.Go(func() {
			for i := range next {
				began := time.Now()
				w, err := dial(i)
				mu.Lock()
				took.add(time.Since(began))
				if err == nil {
					err = c.join(w)
				}
				if err != nil {
					errs = append(errs, err)
				}
				mu.Unlock()
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	dialing.Wait()
	if len(errs) > 0 {
		return &took, fmt.Errorf("%d of %d clients did not connect: %w", len(errs), n, errs[0])
	}
	return &took, nil
}

// join makes a connected client a member. Its descriptor leaves Go's poller.
func (c *crowd) join(w *webSocket) error {
	tcp, ok := w.conn.(*net.TCPConn)
	if !ok {
		return errors.New("not a TCP connection")
	}
	file, err := tcp.File()
	if err != nil {
		return err
	}
	w.close() // the duplicate stays
	m := &member{file: file, fd: int(file.Fd()), rest: append([]byte(nil), w.held()...)}
	if err := unix.SetNonblock(m.fd, true); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members = append(c.members, m)
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(len(c.members) - 1)}
	return unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, m.fd, &event)
}

// read is the reader's goroutine.
func (c *crowd) read() {
	defer close(c.done)
	events := make([]unix.EpollEvent, 256)
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.EpollWait(c.epoll, events, 100)
		if err != nil && err != unix.EINTR {
			return
		}
		c.mu.Lock()
		for i := range max(n, 0) {
			c.take(c.members[events[i].Fd], buf)
		}
		closing := c.closing
		c.mu.Unlock()
		c.changed.Broadcast()
		if closing {
			return
		}
	}
}

// take reads once from a member, which is readable. Frames mostly come whole,
// and are read where they lie.
func (c *crowd) take(m *member, buf []byte) {
	kept := copy(buf, m.rest)
	n, err := unix.Read(m.fd, buf[kept:])
	if n <= 0 {
		if err != unix.EAGAIN && err != unix.EINTR {
			c.lost++
			unix.EpollCtl(c.epoll, unix.EPOLL_CTL_DEL, m.fd, nil)
		}
		return
	}
	now := time.Now()
	held := buf[:kept+n]
	for {
		opcode, payload, size := parseFrame(held)
		if size == 0 {
			break
		}
		c.hear(m, opcode, payload, now)
		held = held[size:]
	}
	m.rest = append(m.rest[:0], held...)
}

func (c *crowd) hear(m *member, opcode byte, payload []byte, now time.Time) {
	switch opcode {
	case opPing:
		unix.Write(m.fd, maskedFrame(opPong, payload)) // a socket that took no pong is found lost by the server
	case opText:
		if len(payload) > 0 && payload[0] == '{' {
			c.hearPushes(m, payload, now)
			return
		}
		c.hearOne(payload, now)
	}
}

func (c *crowd) hearOne(message []byte, now time.Time) {
	c.heard++
	c.last = now
	if len(message) < stampSize {
		return
	}
	if sent, err := strconv.ParseInt(string(message[:stampSize]), 10, 64); err == nil {
		c.latency.add(now.Sub(time.Unix(0, sent)))
	}
}

// await waits until the crowd has heard so many messages since the last reset.
func (c *crowd) await(messages int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	began := time.Now()
	for c.heard < messages {
		if time.Since(began) > patience && time.Since(c.last) > patience {
			return fmt.Errorf("heard %d of %d messages, none for %v, %d connections lost", c.heard, messages, patience, c.lost)
		}
		c.changed.Wait() // the reader comes by every 100 ms
	}
	return nil
}

// reset begins to count anew.
func (c *crowd) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard, c.latency = 0, histogram{}
}

// size is the number of members that are still connected.
func (c *crowd) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.members) - c.lost
}

// close ends all connections and the reader. Further calls do nothing.
func (c *crowd) close() {
	c.mu.Lock()
	closed := c.closing
	c.closing = true
	c.mu.Unlock()
	if closed {
		return
	}
	<-c.done
	for _, m := range c.members {
		m.file.Close()
	}
	unix.Close(c.epoll)
}
