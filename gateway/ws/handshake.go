package ws

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"syscall"

	"github.com/coder/websocket"
)

// Sizes of the buffers that the library keeps for as long as the connection
// lives. The reader only passes bytes on from the input; the writer must hold
// a whole control frame, 127 bytes (RFC 6455, 5.5).
const (
	libraryReader = 16
	libraryWriter = 128
)

// Upgrade answers the handshake (RFC 6455, 4.2) with 101 and the headers that
// w has, takes the socket over and begins to write what is queued. Then
// ServeHTTP may return. The subprotocol is the one to agree on, as the client
// spells it in its offer; "" agrees on none. The caller has checked the origin. On an error the
// answer has been written to w, if there was one to give, and nothing more may
// be done with the connection.
func (c *Conn) Upgrade(w http.ResponseWriter, r *http.Request, subprotocol string) error {
	w.Header().Del("Sec-WebSocket-Protocol")
	w.Header().Del("Sec-WebSocket-Extensions")
	options := websocket.AcceptOptions{InsecureSkipVerify: true}
	if subprotocol != "" {
		options.Subprotocols = []string{subprotocol}
	}
	lib, err := websocket.Accept(&takeover{ResponseWriter: w, c: c}, r, &options)
	if err != nil {
		c.CloseNow()
		return fmt.Errorf("upgrade: %w", err)
	}
	c.br.Reset((*wire)(c)) // past the reader that Accept put between
	lib.SetReadLimit(-1)   // the input knows sizes before their bytes come
	return c.uncork(lib)
}

// uncork lets the outbox be written and the wheel begin to count.
func (c *Conn) uncork(lib *websocket.Conn) error {
	c.mu.Lock()
	c.lib = lib
	c.outbox.corked = false
	dead := c.dead
	if !dead {
		c.moved.Store(int64(c.shared.Wheel.now()))
		c.schedulePingLocked()
		if c.closeDue > 0 {
			c.shared.Wheel.arm(c, c.closeDue)
		}
	}
	c.mu.Unlock()
	if dead {
		c.conn.Close()
		lib.CloseNow()
		return ErrClosed
	}
	c.Flush()
	return nil
}

// takeover is the ResponseWriter that the library sees. Its Hijack hands over
// the wire instead of the socket, and small buffers instead of the server's
// of 4 KiB each.
type takeover struct {
	http.ResponseWriter
	c *Conn
}

// Hijack implements http.Hijacker. Bytes that the client sent behind its
// handshake move into the input.
func (t *takeover) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, err := buffered.Reader.Peek(buffered.Reader.Buffered())
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	c := t.c
	if err := c.attach(conn); err != nil {
		conn.Close()
		return nil, nil, err
	}
	c.input.preload(early, c.shared.Wheel)
	w := (*wire)(c)
	c.br = bufio.NewReaderSize(w, libraryReader)
	return w, bufio.NewReadWriter(c.br, bufio.NewWriterSize(w, libraryWriter)), nil
}

// attach gives the connection its socket. Only the two kinds whose file
// descriptor surely carries the stream itself are read and written without
// net.Conn: another type may have put TLS or a counter in between.
func (c *Conn) attach(conn net.Conn) error {
	var raw syscall.RawConn
	var err error
	switch s := conn.(type) {
	case *net.TCPConn:
		raw, err = s.SyscallConn()
	case *net.UnixConn:
		raw, err = s.SyscallConn()
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn, c.raw = conn, raw
	c.input.ready = c.readReady
	c.writer.ready = c.writeReady
	return nil
}
