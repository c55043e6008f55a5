package gateway

import (
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"wsfpm/fcgi"
	"wsfpm/gateway/ws"
	"wsfpm/session"
)

// connection is one client, from its handshake to its disconnect event. Its
// fields are grouped by who owns them.
type connection struct {
	g       *Gateway
	session *session.Session
	socket  *ws.Conn

	// Set by the handshake, not changed afterwards.
	rt       *route // as it was then; see route
	script   string // as configured
	client   client
	offered  []string // subprotocols, WS_PROTOCOLS
	protocol string   // the agreed one
	since    time.Time

	// Owned by the goroutine that runs the connection's events, one at a time.
	env     *fcgi.Env
	paths   *paths // those that env was made with
	user    string // as admission counts it
	first   *reply // the answer to connect, until its effects are done
	letIn   bool   // by the connect script: the disconnect event is due
	events  uint64 // number of the current event: 0 connect, then 1, 2, …
	seq     uint64 // number of the last message
	limiter *rate.Limiter
	told    bool            // a late Set-Cookie was logged
	running <-chan struct{} // closed when the last event's script has ended; nil: it has

	inbox   inbox
	watched watched // by handoff, while a handler runs
	over    bool    // end was called; owned by the reader

	mu      sync.Mutex
	expired bool   // its close is under way, see sweep
	leaving bool   // or has left: no stream may run for it any more
	stopped func() // ends the running stream, if there is one
}

// id is the connection's id, unique over all nodes.
func (c *connection) id() string { return c.session.ID() }

// route is the connection's route in the newest settings, for its timeouts and
// limits.
func (c *connection) route() *route {
	s := c.g.settings.Load()
	if c.rt.of == s {
		return c.rt
	}
	return s.current(c.rt)
}

// log is a logger that names the connection. It is made when needed: most
// connections never log.
func (c *connection) log() *zap.Logger {
	return c.g.log.With(zap.String("connection", c.id()), zap.String("script", c.script))
}

// close ends the connection from our side, after what is queued.
func (c *connection) close(with session.Close) {
	c.discard(c.inbox.close(true)...)
	c.session.Close(with)
}

// discard is the end of messages, handled or not.
func (c *connection) discard(messages ...ws.Message) {
	for _, m := range messages {
		c.socket.EndReply(m)
	}
}

// setRate returns l with that rate and burst, which a reload may have changed, and
// a new limiter for nil: a connection without messages has none.
func setRate(l *rate.Limiter, perSecond float64, burst int) *rate.Limiter {
	limit := rate.Limit(perSecond)
	switch {
	case l == nil:
		l = rate.NewLimiter(limit, burst)
	case l.Limit() != limit || l.Burst() != burst:
		l.SetLimit(limit)
		l.SetBurst(burst)
	}
	return l
}

// newID is a connection's own part of its id: 26 characters, 130 random bits.
func newID() string { return strings.ToLower(rand.Text()) }

// enter counts a connection in, unless the gateway is draining, or has taken the
// route away since it was found, and let its pool go.
func (g *Gateway) enter(c *connection) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining || c.route().upstream.isGone() {
		return false
	}
	g.live[c] = false
	g.running.Add(1)
	c.socket.SetLimits(g.settings.Load().limitsOf(c.rt)) // see spreadLimits
	return true
}

// upgraded makes a connection one that [Gateway.clients] lists, and reports
// whether the gateway began to drain meanwhile.
func (g *Gateway) upgraded(c *connection) (draining bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.live[c] = true
	return g.draining
}

// leave ends what enter began.
func (g *Gateway) leave(c *connection) {
	g.mu.Lock()
	delete(g.live, c)
	g.mu.Unlock()
	g.running.Done()
}

// isDraining reports whether the gateway lets no client in any more.
func (g *Gateway) isDraining() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.draining
}

// clients lists the connections that were upgraded and have not left, in no
// order.
func (g *Gateway) clients() []*connection {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]*connection, 0, len(g.live))
	for c, open := range g.live {
		if open {
			list = append(list, c)
		}
	}
	return list
}

// connections lists those that have entered and not left, in no order.
func (g *Gateway) connections() []*connection {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]*connection, 0, len(g.live))
	for c := range g.live {
		list = append(list, c)
	}
	return list
}

// endStream stops the stream that runs for the client, if there is one, so that
// PHP stops at its next flush. No other begins for it.
func (c *connection) endStream() {
	c.mu.Lock()
	c.leaving = true
	stop := c.stopped
	c.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// whenLost arranges for stop to be called when the client leaves; it reports
// false when it does so already. A nil stop takes the arrangement back.
func (c *connection) whenLost(stop func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = stop
	return !c.leaving
}
