package ws

import (
	"net"
	"net/http"
	"syscall"
)

// Upgrade answers the handshake (RFC 6455, 4.2) with 101 and the headers that
// w has, takes the socket over and begins to write what is queued. Then
// ServeHTTP may return. The subprotocol is the one to agree on, as the client
// spells it in its offer; "" agrees on none; extensions are those of
// [Conn.Negotiate]. The caller has checked the origin. On an error the answer has
// been written to w, if there was one to give, and nothing more may be done with
// the connection.
func (c *Conn) Upgrade(w http.ResponseWriter, r *http.Request, subprotocol string) error {
	w.Header().Del("Sec-WebSocket-Protocol")
	w.Header().Del("Sec-WebSocket-Extensions")
	if c.extensions != "" {
		w.Header().Set("Sec-WebSocket-Extensions", c.extensions)
	}
	lib, err := accept(w, r, subprotocol, func(l *library) error {
		l.c = c
		return c.takeOver(w)
	})
	if err != nil {
		c.CloseNow()
		return err
	}
	return c.uncork(lib)
}

// uncork lets the outbox be written and the wheel begin to count.
func (c *Conn) uncork(lib *library) error {
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
		c.closeSocket()
		lib.end()
		return ErrClosed
	}
	c.Flush()
	return nil
}

// takeOver takes the socket from the server. Bytes that the client sent behind
// its handshake move into the input.
func (c *Conn) takeOver(w http.ResponseWriter) error {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	if same, ok := conn.(interface{ PlainConn() net.Conn }); ok {
		conn = same.PlainConn() // it has seen the first bytes, and adds nothing
	}
	early, err := buffered.Reader.Peek(buffered.Reader.Buffered())
	if err == nil {
		err = c.attach(conn)
	}
	if err != nil {
		conn.Close()
		return err
	}
	c.shared.Stats.Sockets.Add(1)
	c.input.preload(early, c.shared.Wheel)
	return nil
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
