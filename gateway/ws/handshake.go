package ws

import (
	"net"
	"net/http"

	"wsfpm/gateway/out"
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
	lib, err := accept(w, r, subprotocol, c)
	if err != nil {
		c.CloseNow()
		return err
	}
	return c.begin(lib)
}

// begin lets the outlet be written and the scheduler begin to count.
func (c *Conn) begin(lib *library) error {
	c.mu.Lock()
	c.lib = lib
	c.open = true
	dead := c.dead
	if !dead {
		c.out.Open()
		c.schedulePingLocked()
		if c.closeDue > 0 {
			c.out.Arm(c.closeDue)
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

// takeOver takes the socket from the server. Bytes that the client sent after
// its handshake move into the input.
func (c *Conn) takeOver(w http.ResponseWriter) error {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	if same, ok := conn.(interface{ PlainConn() net.Conn }); ok {
		conn = same.PlainConn() // it has seen the first bytes, and adds nothing
	}
	socket, err := out.NewSocket(conn)
	if err != nil {
		conn.Close()
		return err
	}
	c.out.Attach(socket)
	c.input.ready = c.readReady
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered()) // what is there: no error
	c.shared.Stats.Sockets.Add(1)
	c.input.preload(early, c.shared.Wheel)
	return nil
}
