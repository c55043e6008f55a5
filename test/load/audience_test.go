package load

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"wsfpm/test/stack"
)

// audience is many clients of one gateway that hear what is pushed to all.
type audience struct {
	readers int // that stay and read
	stalled int // that read nothing, or come beside the others
	gateway *stack.GatewayServer
	redis   *redis.Client
	living  sync.WaitGroup
	heard   atomic.Int64 // pushes, by those readers that stay
	pushes  int
}

// reader is one client that listens. Its own goroutine uses it until it ends.
type reader struct {
	*socket
	stays  bool // to the end of the test, and counts
	delays []delay
}

// delay is how long a push took to its reader.
type delay struct {
	push int
	took time.Duration
}

// numberSize and stampSize are the digits at the beginning of a push: its
// number, and the time at which it was sent.
const (
	numberSize = 8
	stampSize  = 19
)

// push sends the next message to everybody.
func (a *audience) push(t *testing.T, size int) {
	t.Helper()
	a.publish(t, "ws:all", fmt.Sprintf("%0*d%0*d%0*d", numberSize, a.pushes, stampSize, time.Now().UnixNano(), size-numberSize-stampSize, 0))
	a.pushes++
}

func (a *audience) publish(t *testing.T, channel, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stack.Patience)
	defer cancel()
	if err := a.redis.Publish(ctx, channel, text).Err(); err != nil {
		t.Fatalf("publish: %v", err)
	}
}

// admit connects n clients that listen.
func (a *audience) admit(t *testing.T, n int, stay bool) []*reader {
	t.Helper()
	all := make([]*reader, n)
	open(t, n, func(i int) error {
		s, err := enter(a.gateway.Listen)
		if err != nil {
			return err
		}
		all[i] = &reader{socket: s, stays: stay}
		a.living.Go(func() { all[i].listen(a) })
		return nil
	})
	return all
}

// listen reads until the connection ends.
func (r *reader) listen(a *audience) {
	for {
		text, code := r.next(time.Now().Add(time.Minute))
		if code != 0 {
			return
		}
		if len(text) < numberSize+stampSize {
			continue
		}
		push, _ := strconv.Atoi(string(text[:numberSize]))
		sent, _ := strconv.ParseInt(string(text[numberSize:numberSize+stampSize]), 10, 64)
		r.delays = append(r.delays, delay{push, time.Since(time.Unix(0, sent))})
		if r.stays {
			a.heard.Add(1)
		}
	}
}

// kernelBuffers is more than what the kernel takes for one of admitDeaf.
const kernelBuffers = 256 << 10

// admitDeaf connects n clients that read nothing any more. Their receive
// buffers and segments are small, like those of a phone that goes out of reach,
// so that the kernel takes some 100 KiB for each. One push to these clients
// alone fills that: from here on they take nothing.
func (a *audience) admitDeaf(t *testing.T, n int) []*socket {
	t.Helper()
	narrow := &net.Dialer{Timeout: stack.Patience, Control: func(_, _ string, raw syscall.RawConn) error {
		var errs [2]error
		err := raw.Control(func(fd uintptr) {
			errs[0] = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10)
			errs[1] = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 536)
		})
		if err == nil && errs[0] == nil {
			err = errs[1]
		}
		if err != nil {
			err = errs[0]
		}
		return err
	}}
	all := make([]*socket, n)
	open(t, n, func(i int) (err error) {
		all[i], err = dial(wish{address: a.gateway.Listen, path: "/ws?user=deaf", dialer: narrow})
		return err
	})
	a.publish(t, "ws:user:deaf", strings.Repeat("x", kernelBuffers))
	return all
}

// leave ends the connections of readers, and soon their goroutines.
func leave(all []*reader) {
	for _, r := range all {
		r.Conn.Close()
	}
}
