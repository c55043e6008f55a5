package admin

import (
	"context"
	"net"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Control is the HTTP handler of the control socket, for all that shows what clients are or
// say, or that acts on them: only root and the user of this process may use it, and each use
// leaves a line in the log. It is served by the listener of [Peers], with [PeerContext]. It
// is safe for concurrent use after the last HandleFunc.
type Control struct {
	mux     *http.ServeMux
	guarded http.Handler
	log     *zap.Logger
}

// NewControl returns a handler with one path:
//
//	GET /connections   the clients, one JSON object a line
//
// No browser is answered, and no request with an unknown Host: the socket may be forwarded to
// a port of another machine (ssh -L), where any page could ask it.
func NewControl(g Gateway, log *zap.Logger) *Control {
	c := &Control{mux: http.NewServeMux(), log: log}
	o := Options{Gateway: g, Private: true, Logger: log}
	c.guarded = patient(o.guarded(c.mux))
	c.HandleFunc("GET /connections", func(w http.ResponseWriter, r *http.Request) {
		c.Audit(r, "list connections", "all")
		o.connections(w, r)
	})
	return c
}

// HandleFunc adds a path, by a pattern of [http.ServeMux]. A handler calls
// [Control.Audit] before it shows or changes anything. It has a minute to answer: one that
// takes longer moves the deadline by [http.ResponseController].
func (c *Control) HandleFunc(pattern string, h http.HandlerFunc) { c.mux.HandleFunc(pattern, h) }

// ServeHTTP answers a request.
func (c *Control) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.guarded.ServeHTTP(w, r) }

// Audit logs who does what to whom: an address such as user:42, a route or "all". Neither may
// have anything that a client has sent.
func (c *Control) Audit(r *http.Request, what, whom string) {
	uid, _ := r.Context().Value(peerKey{}).(int)
	c.log.Info("control", zap.Int("uid", uid), zap.String("what", what), zap.String("whom", whom))
}

// peerKey is the key of a request's uid in its context.
type peerKey struct{}

// peerConn is a connection whose peer is known.
type peerConn struct {
	net.Conn
	uid int
}

// PeerContext adds the peer's uid to the context of its requests. It is for
// [http.Server.ConnContext].
func PeerContext(ctx context.Context, c net.Conn) context.Context {
	if known, ok := c.(*peerConn); ok {
		ctx = context.WithValue(ctx, peerKey{}, known.uid)
	}
	return ctx
}

// Peers returns a listener with the connections of a unix socket whose peers are root or the
// user of this process, as the kernel reports it (SO_PEERCRED, unix(7)). Others are closed and
// logged.
func Peers(l net.Listener, log *zap.Logger) net.Listener {
	return &peers{Listener: l, self: os.Geteuid(), log: log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, 1, 0) // any local user can repeat it
	}))}
}

type peers struct {
	net.Listener
	self int
	log  *zap.Logger
}

// Accept returns the next connection of a peer that is allowed.
func (p *peers) Accept() (net.Conn, error) {
	for {
		c, err := p.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(c)
		if err == nil && (uid == 0 || uid == p.self) {
			return &peerConn{c, uid}, nil
		}
		p.log.Warn("control socket refused a connection: its user is neither root nor the gateway's", zap.Int("uid", uid), zap.Error(err))
		_ = c.Close() // nothing was sent
	}
}
