package gateway

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"go.uber.org/zap"

	"wsfpm/gateway/excerpt"
)

// survived logs a panic of one connection, which must not end the process. The caller
// recovers v, and closes the connection.
func (g *Gateway) survived(where string, v any) {
	g.stats.panics.Add(1)
	g.log.Error("survived a panic: please report it",
		zap.String("where", where), zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
}

// recovered survives a panic of the function that defers it, and then calls what follows
// from one, unless that is nil.
func (g *Gateway) recovered(where string, then func()) {
	if v := recover(); v != nil {
		g.survived(where, v)
		if then != nil {
			then()
		}
	}
}

// warnUnknown warns once of a proxy that does not forward client addresses.
func (g *Gateway) warnUnknown(c *client) {
	if !c.known && g.web == nil && g.once.first("forwarded-for") {
		g.log.Warn("trusted proxy sent no X-Forwarded-For: REMOTE_ADDR is its own address and limits.connections_per_address does not apply; for nginx, set: proxy_set_header X-Forwarded-For $remote_addr;",
			zap.Stringer("address", c.addr))
	}
}

// warnProtocol warns once per route of a client whose offered subprotocols were all
// refused. Their names are not logged: some clients send a token there.
func (c *connection) warnProtocol() {
	if len(c.arriving.offered) == 0 || c.protocol != "" || !c.g.once.first(fmt.Sprintf("subprotocol %q %q", c.rt.Host, c.rt.Path)) {
		return
	}
	c.g.log.Warn("client offered subprotocols and none was selected, so browsers close the connection: list one in the route's protocols, or answer connect with WS-Protocol",
		zap.String("path", c.rt.Path), zap.Strings("host", c.rt.Host), zap.Strings("protocols", c.rt.Protocols), zap.Int("offered", len(c.arriving.offered)))
}

// warnUnmeant warns once of a purge whose path is that of no route, such as a misspelt one.
func (g *Gateway) warnUnmeant(path string) {
	if g.once.first("purge " + path) {
		g.log.Warn("purge of a path that no route of this node has: nothing was dropped for it", zap.String("path", excerpt.Of(path)))
	}
}

// logFailure logs a failed event, with PHP's output but without the client's message.
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
		level = zap.ErrorLevel // the script must be corrected
	}
	c.log().Log(level, "event failed", fields...)
}

// logPage logs what a page of --web wrote to stderr, such as PHP's errors.
func (g *Gateway) logPage(page string, stderr []byte) {
	g.log.Warn("page wrote to stderr", zap.String("page", page), zap.ByteString("php", clipBytes(stderr)))
}

// onceLog is a bounded set of messages that were logged. When it is full it is cleared, and
// messages are logged again.
type onceLog struct {
	mu   sync.Mutex
	said map[string]bool
}

// first reports whether what is new to the set, and adds it.
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
