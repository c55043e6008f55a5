package gateway

import (
	"bytes"
	"io"
	"net"
	"time"

	"go.uber.org/zap"
)

// tlsRecord begins a TLS handshake (RFC 8446, 5.1).
const tlsRecord = "\x16"

// strangers are protocols other than HTTP/1.1 that a wrong configuration brings
// to the public listeners, by the first bytes of a client.
var strangers = []struct{ begins, speaks, cure string }{
	{tlsRecord, "TLS", "there is no TLS here: let nginx end it (listen … ssl, and proxy_pass http://, not https://), or let the client use ws:// in place of wss://"},
	{"PROXY ", "the PROXY protocol", "turn it off for this port (send-proxy of HAProxy), and send X-Forwarded-For instead"},
	{"\r\n\r\n\x00\r\nQUIT\n", "the PROXY protocol, version 2", "turn it off for this port (send-proxy-v2 of HAProxy, a target group's setting), and send X-Forwarded-For instead"},
	{"PRI * HTTP/2", "HTTP/2", "let the proxy speak HTTP/1.1 to this port (proxy_http_version 1.1; of nginx)"},
}

// Listener is l for the server of [Gateway.Attend]: a client that speaks TLS is
// refused at its first byte, and what else is not HTTP/1.1 is named in the log,
// once per peer. net/http would wait for a line's end that may never come.
func (g *Gateway) Listener(l net.Listener) net.Listener { return listener{l, g} }

type listener struct {
	net.Listener
	g *Gateway
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &newcomer{Conn: c, g: l.g}, nil
}

// newcomer is a client of which nothing is known. It looks at the first bytes
// and changes nothing else: package ws goes on without it.
type newcomer struct {
	net.Conn
	g     *Gateway
	known bool // something was read; of the reading goroutine
}

// PlainConn is the connection itself, on which the same bytes travel.
func (n *newcomer) PlainConn() net.Conn { return n.Conn }

// CloseWrite lets net/http wait until a refused client has read its answer.
func (n *newcomer) CloseWrite() error {
	if half, ok := n.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// tlsAlert is a fatal alert of TLS, handshake_failure (RFC 8446, 6).
const tlsAlert = "\x15\x03\x03\x00\x02\x02\x28"

// Read ends a connection that begins with TLS.
func (n *newcomer) Read(p []byte) (int, error) {
	got, err := n.Conn.Read(p)
	if n.known || got == 0 {
		return got, err
	}
	n.known = true
	if !n.g.meet(n.Conn, p[:got]) {
		return got, err
	}
	_ = n.Conn.SetWriteDeadline(time.Now().Add(time.Millisecond)) // a new socket has room
	_, _ = io.WriteString(n.Conn, tlsAlert)
	return 0, io.EOF
}

// meet logs what a client's first bytes are when they are not HTTP/1.1, and
// reports whether they are TLS.
func (g *Gateway) meet(c net.Conn, first []byte) (isTLS bool) {
	for _, s := range strangers {
		if !bytes.HasPrefix(first, []byte(s.begins)) {
			continue
		}
		remote := c.RemoteAddr().String()
		if host, _, err := net.SplitHostPort(remote); err == nil {
			remote = host
		}
		if g.once.first(s.speaks + " " + remote) {
			g.log.Info("client does not speak HTTP/1.1; logged once per address",
				zap.String("speaks", s.speaks), zap.String("remote", remote), zap.String("cure", s.cure))
		}
		if s.begins != tlsRecord {
			return false
		}
		g.stats.tls.Add(1)
		return true
	}
	return false
}
