package gateway

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"go.uber.org/zap"
)

// survived notes a bug that one connection met, which must not end all of
// them. The caller recovers v, and ends the connection.
func (g *Gateway) survived(where string, v any) {
	g.stats.panics.Add(1)
	g.log.Error("survived a panic: please report it",
		zap.String("where", where), zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
}

// warnUnknown says, once, that the proxy in front does not tell whose requests
// it forwards.
func (g *Gateway) warnUnknown(c *client) {
	if !c.known && g.web == nil && g.once.first("forwarded-for") {
		g.log.Warn("a trusted peer does not say whose handshakes it forwards, so REMOTE_ADDR is its own address and limits.connections_per_address does not count: if it is nginx, set: proxy_set_header X-Forwarded-For $remote_addr;",
			zap.Stringer("address", c.addr))
	}
}

// warnProtocol says, once per route, that no subprotocol was agreed on with a
// client that offers some. Their names are left out: some clients put a token
// there.
func (c *connection) warnProtocol() {
	if len(c.offered) == 0 || c.protocol != "" || !c.g.once.first(fmt.Sprintf("subprotocol %q %q", c.rt.Host, c.rt.Path)) {
		return
	}
	c.g.log.Warn("a client offered subprotocols and none was agreed on, whereupon browsers close the connection: list one in the route's protocols, or answer connect with WS-Protocol",
		zap.String("path", c.rt.Path), zap.Strings("host", c.rt.Host), zap.Strings("protocols", c.rt.Protocols), zap.Int("offered", len(c.offered)))
}

// logFailure logs a failed event. What PHP wrote may stand in
// it; what the client wrote does not.
func (c *connection) logFailure(k kind, err error) {
	fields := []zap.Field{zap.Stringer("event", k), zap.String("outcome", outcome(err)), zap.Error(err)}
	var f *failure
	if errors.As(err, &f) && f.detail != "" {
		fields = append(fields, zap.String("php", f.detail))
	}
	if k == kindDisconnect {
		fields = append(fields, zap.String("user", c.user))
	}
	level := zap.WarnLevel
	if f != nil {
		level = zap.ErrorLevel // the script needs its author
	}
	c.log().Log(level, "event failed", fields...)
}

// onceLog remembers what was said already. It is bounded: a process that finds
// that many things to say says them again.
type onceLog struct {
	mu   sync.Mutex
	said map[string]bool
}

// first reports whether this is said for the first time.
func (o *onceLog) first(what string) bool {
	const most = 1000
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.said[what] {
		return false
	}
	if o.said == nil || len(o.said) >= most {
		o.said = make(map[string]bool)
	}
	o.said[what] = true
	return true
}
