package ws

import (
	"net"
	"net/http"

	"wsfpm/gateway/out"
)

// Upgrade answers the handshake (RFC 6455, 4.2) with 101 and the headers of w, hijacks the
// socket and begins to write queued messages. ServeHTTP may return afterwards. The
// subprotocol is spelled as in the client's offer; "" selects none; extensions are those of
// [Conn.Negotiate]. The caller has checked the origin. If Upgrade fails, it has answered
// the request where that is possible, and the connection must not be used any more.
func (c *Conn) Upgrade(w http.ResponseWriter, r *http.Request, subprotocol string) error {
	w.Header().Del("Sec-WebSocket-Protocol")
	w.Header().Del("Sec-WebSocket-Extensions")
	if c.deflates {
		w.Header().Set("Sec-WebSocket-Extensions", agreeDeflate(r.Header.Values("Sec-WebSocket-Extensions")))
	}
	lib, err := accept(w, r, subprotocol, c)
	if err != nil {
		c.CloseNow()
		return err
	}
	return c.begin(lib)
}

// begin opens the outlet and starts the timers.
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
		if c.expiry != nil {
			c.armExpiryLocked()
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

// takeOver hijacks the socket from the server. Bytes that followed the handshake move into
// the input.
func (c *Conn) takeOver(w http.ResponseWriter) error {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	if same, ok := conn.(interface{ PlainConn() net.Conn }); ok {
		conn = same.PlainConn() // the wrapper only inspects the first bytes
	}
	socket, err := out.NewSocket(conn)
	if err != nil {
		conn.Close()
		return err
	}
	c.out.Attach(socket)
	c.input.ready = c.readReady
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered()) // buffered already: no error
	c.shared.Stats.Sockets.Add(1)
	c.input.preload(early, c.shared.Wheel)
	return nil
}
