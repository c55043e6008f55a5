package ws

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/coder/websocket"
)

// Sizes of the buffers that the library keeps. The reader only passes bytes on
// from the input; the writer must hold a whole control frame, 127 bytes (RFC
// 6455, 5.5).
const (
	libraryReader = 16
	libraryWriter = 128
	mostSpares    = 256 // the capacity of Wheel.spares
)

// library is a connection of coder/websocket, which reads frames and answers control frames
// for one Conn at a time. Between two messages it has no state of its client, so a parked
// Conn gives it to a pool and takes any other one later, which saves 1.6 KB per idle
// connection.
//
// It is also the net.Conn of coder/websocket, which reads whole valid frames from it and
// writes into the outlet.
type library struct {
	net.Conn // nil: coder/websocket only reads, writes and closes
	conn     *websocket.Conn
	br       *bufio.Reader // never holds bytes of a second frame
	c        *Conn         // the current user; nil: a spare
}

// accept lets coder/websocket answer a handshake on the socket of c, or without a socket if
// c is nil.
func accept(w http.ResponseWriter, r *http.Request, subprotocol string, c *Conn) (*library, error) {
	l := &library{c: c}
	l.br = bufio.NewReaderSize(l, libraryReader)
	options := websocket.AcceptOptions{InsecureSkipVerify: true}
	if subprotocol != "" {
		options.Subprotocols = []string{subprotocol}
	}
	var err error
	if l.conn, err = websocket.Accept(&takeover{w, l}, r, &options); err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	l.br.Reset(l)           // bypass the reader that Accept inserted
	l.conn.SetReadLimit(-1) // acceptData checks sizes before the payload arrives
	return l, nil
}

// takeover is the ResponseWriter of coder/websocket. Its Hijack returns the library instead
// of the socket, with small buffers instead of the server's of 4 KiB each.
type takeover struct {
	http.ResponseWriter
	l *library
}

// Hijack implements http.Hijacker.
func (t *takeover) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if c := t.l.c; c != nil {
		if err := c.takeOver(t.ResponseWriter); err != nil {
			return nil, nil, err
		}
	}
	return t.l, bufio.NewReadWriter(t.l.br, bufio.NewWriterSize(t.l, libraryWriter)), nil
}

// spare returns a library without a connection. Only a handshake creates a server
// connection of coder/websocket, so spare runs one whose response is dropped.
func spare() (*library, error) {
	r := &http.Request{Method: http.MethodGet, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{
		"Connection":            {"Upgrade"},
		"Upgrade":               {"websocket"},
		"Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key":     {"AAAAAAAAAAAAAAAAAAAAAA=="},
	}}
	return accept(nowhere{}, r, "", nil)
}

// nowhere is a ResponseWriter without a client.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) WriteHeader(int)             {}
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// borrow takes a library from the pool if the connection has none.
func (c *Conn) borrow() error {
	if c.lib != nil {
		return nil
	}
	var l *library
	select {
	case l = <-c.shared.Wheel.spares:
	default:
		var err error
		if l, err = spare(); err != nil {
			return err
		}
	}
	l.c = c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lib = l
	return nil
}

// giveBackLocked returns the connection's library to the pool, or ends it if the pool is
// full.
func (c *Conn) giveBackLocked() {
	l := c.lib
	if l == nil {
		return
	}
	c.lib, l.c = nil, nil
	select {
	case c.shared.Wheel.spares <- l:
	default:
		l.end()
	}
}

// end closes a library that is no longer needed; otherwise its finalizer would keep the
// memory for a while.
func (l *library) end() {
	if l != nil {
		l.conn.CloseNow()
	}
}

// Read returns bytes of the current frame. Between messages it does not wait: errIdle then
// ends the library's call.
func (l *library) Read(p []byte) (int, error) {
	c := l.c
	in := &c.input
	for in.left == 0 {
		found, err := c.nextFrame()
		if err != nil {
			return 0, err
		}
		if found {
			break
		}
		if !in.open {
			return 0, errIdle
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	for in.lo == in.hi {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.buf[in.lo:in.lo+int32(min(int64(in.hi-in.lo), in.left))])
	in.lo += int32(n)
	in.left -= int64(n)
	return n, nil
}

// Write queues a pong or Close frame, which the library writes in one call.
func (l *library) Write(p []byte) (int, error) {
	c := l.c
	c.queueControl(slices.Clone(p))
	c.Flush()
	return len(p), nil
}

// Close is called when the library has finished with the socket. It wakes a Read; the
// socket is closed when all is written, see end.go. A spare has none.
func (l *library) Close() error {
	if l.c == nil {
		return nil
	}
	return l.c.out.Socket.SetReadDeadline(time.Unix(1, 0))
}
