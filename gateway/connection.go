package gateway

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"wsfpm/fcgi"
	"wsfpm/gateway/once"
	"wsfpm/gateway/registry"
	"wsfpm/gateway/ws"
	"wsfpm/session"
)

// connection is one client, from its handshake to its disconnect event. Its fields are
// grouped by owner.
type connection struct {
	g       *Gateway
	session *session.Session
	socket  *ws.Conn

	// Set by the handshake, not changed afterwards.
	rt       *route                // at the time of the handshake; see route
	script   unique.Handle[string] // as configured; connections share the text
	client   client
	protocol string // the selected subprotocol, see wraps
	since    time.Time
	test     *selftest // nil: it is a client's

	// Owned by the goroutine that runs the connection's events, one at a time.
	env      *fcgi.Env
	paths    *paths    // used in env
	user     string    // counted by admission
	first    *reply    // the answer to connect until effects has run
	arriving *arriving // until the client has entered the hub; then nil
	seq      uint64    // number of the last message
	re       string    // the id that the current message has in its envelope, "" none
	limiter  *rate.Limiter
	keyed    *keyed          // see keyBase; nil: no message has asked the cache
	lane     *lane           // of relayed frames; nil: there were none
	run      *once.Run       // of the current message; nil: it does not run once
	running  <-chan struct{} // closed when the last event's script has ended; nil: no script runs
	ends     uint32          // Session.RelayEnds when the current event began
	letIn    bool            // accepted by the connect script: the disconnect event is due
	counted  bool            // the current message is one of flight
	told     bool            // a late Set-Cookie was logged
	mixed    bool            // env has the params of more than one configuration, see setParams

	entry *registry.Entry // in the registry, set by open; nil: none

	inbox   inbox
	watched watched      // links of handoff's list
	flight  atomic.Int32 // messages that run once without a reply

	mu      sync.Mutex
	expired bool   // see expire
	leaving bool   // to be closed or gone: no stream may begin
	gone    bool   // the client has left
	over    bool   // end was called; owned by the reader, without mu
	stopped func() // cancels the running stream; nil: none
}

// id returns the connection's id, unique over all nodes.
func (c *connection) id() string { return c.session.ID() }

// route returns the connection's route in the current settings, for its timeouts and
// limits.
func (c *connection) route() *route {
	s := c.g.settings.Load()
	if c.rt.of == s {
		return c.rt
	}
	return s.current(c.rt)
}

// log returns a logger with the connection's fields. It is created on demand: most
// connections never log.
func (c *connection) log() *zap.Logger {
	return c.g.log.With(zap.String("connection", c.id()), zap.String("script", c.script.Value()), zap.String("trace", c.trace()))
}

// close closes the connection after all queued messages.
func (c *connection) close(with session.Close) {
	c.discard(c.inbox.close(true)...)
	c.session.Close(with)
}

// discard releases messages, handled or not.
func (c *connection) discard(messages ...ws.Message) {
	for _, m := range messages {
		c.socket.EndReply(m)
	}
}

// setRate returns l with the given rate and burst, which a reload may have changed, or a
// new limiter if l is nil.
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

// pace delays a message as a rate requires (token bucket), and counts that. Messages are not
// dropped: the client is slowed down.
func (c *connection) pace(l **rate.Limiter, perSecond float64, burst int, delayed *atomic.Int64) {
	if perSecond <= 0 {
		return
	}
	*l = setRate(*l, perSecond, burst)
	if (*l).Allow() {
		return
	}
	wait := (*l).Reserve().Delay()
	delayed.Add(1)
	select {
	case <-time.After(wait):
	case <-c.socket.Ended():
	}
}

// Node returns this process's name in connection ids. It changes when other nodes have
// taken this one for dead.
func (g *Gateway) Node() string {
	if g.registry != nil {
		return g.registry.Node()
	}
	return g.node
}

// newNode returns a new name of a node.
func newNode(configured string) string {
	return configured + "-" + strings.ToLower(rand.Text()[:6])
}

// newID returns a random id of 26 characters, 130 bits.
func newID() string { return strings.ToLower(rand.Text()) }

// enter registers a connection. It returns false if the gateway is draining, or if a reload
// has removed the route's pool meanwhile.
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

// upgraded adds a connection to [Gateway.clients], and reports whether the gateway is
// draining.
func (g *Gateway) upgraded(c *connection) (draining bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.live[c] = true
	return g.draining
}

// claimed reports whether the connection is registered under a name that other nodes have
// claimed.
func (c *connection) claimed() bool { return c.entry != nil && !c.entry.Valid() }

// leave undoes enter.
func (g *Gateway) leave(c *connection) {
	g.mu.Lock()
	delete(g.live, c)
	g.mu.Unlock()
	g.running.Done()
}

func (g *Gateway) isDraining() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.draining
}

// clients returns the upgraded connections, in no order.
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

// connections returns all registered connections, in no order.
func (g *Gateway) connections() []*connection {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.AppendSeq(make([]*connection, 0, len(g.live)), maps.Keys(g.live))
}

// endStream cancels the client's running stream, if any, so that PHP stops at its next
// flush. No other stream may begin. gone: the client has left.
func (c *connection) endStream(gone bool) {
	c.mu.Lock()
	c.leaving = true
	c.gone = c.gone || gone
	stop := c.stopped
	c.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// whenLost registers stop to be called when the client leaves; it returns false if the
// client is leaving already. A nil stop removes it.
func (c *connection) whenLost(stop func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = stop
	return !c.leaving
}

// streamEnded returns the error of a stream that endStream has canceled: none if the client
// has left. One that is still there must not take the lines that it has for all.
func (c *connection) streamEnded() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil
	}
	return errSentAway
}
