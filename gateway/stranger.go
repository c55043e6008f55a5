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

// strangers are protocols other than HTTP/1.1 that a misconfigured proxy or client uses on
// the public listeners, by their first bytes.
var strangers = []struct{ begins, speaks, cure string }{
	{tlsRecord, "TLS", "this port does not serve TLS: terminate it in nginx (listen … ssl, and proxy_pass http://, not https://), or use ws:// in place of wss:// in the client"},
	{"PROXY ", "the PROXY protocol", "turn it off for this port (send-proxy of HAProxy), and send X-Forwarded-For instead"},
	{"\r\n\r\n\x00\r\nQUIT\n", "the PROXY protocol, version 2", "turn it off for this port (send-proxy-v2 of HAProxy, a target group's setting), and send X-Forwarded-For instead"},
	{"PRI * HTTP/2", "HTTP/2", "let the proxy speak HTTP/1.1 to this port (proxy_http_version 1.1; of nginx)"},
}

// Listener wraps l for the server of [Gateway.Attend]: it refuses a client that speaks TLS
// at its first byte, and logs other protocols that are not HTTP/1.1, once per peer.
// net/http would wait for the end of a line, which may never come.
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

// newcomer is a new connection. It inspects the first bytes only; package ws unwraps it.
type newcomer struct {
	net.Conn
	g     *Gateway
	known bool // the first bytes were read; owned by the reader
}

// PlainConn returns the wrapped connection, which carries the same bytes.
func (n *newcomer) PlainConn() net.Conn { return n.Conn }

// CloseWrite lets net/http wait until a refused client has read its answer.
func (n *newcomer) CloseWrite() error {
	if half, ok := n.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// tlsAlert is the fatal TLS alert handshake_failure (RFC 8446, 6).
const tlsAlert = "\x15\x03\x03\x00\x02\x02\x28"

// Read returns io.EOF for a connection that begins with TLS.
func (n *newcomer) Read(p []byte) (int, error) {
	got, err := n.Conn.Read(p)
	if n.known || got == 0 {
		return got, err
	}
	n.known = true
	if !n.g.meet(n.Conn, p[:got]) {
		return got, err
	}
	_ = n.Conn.SetWriteDeadline(time.Now().Add(time.Millisecond)) // a new socket's send buffer is empty
	_, _ = io.WriteString(n.Conn, tlsAlert)
	return 0, io.EOF
}

// meet logs the protocol of a client's first bytes if it is a known one other than
// HTTP/1.1, and reports whether it is TLS.
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
