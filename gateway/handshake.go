package gateway

import (
	"errors"
	"net/http"
	"slices"
	"time"
	"unique"

	"wsfpm/fcgi"
	"wsfpm/gateway/envelope"
	"wsfpm/gateway/excerpt"
	"wsfpm/gateway/ws"
	"wsfpm/session"
)

// ServeHTTP handles a handshake: it checks the request, calls PHP and upgrades. Then serve
// continues on its own goroutine, so that the server's memory for the handshake is freed.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.accepted.came(r)
	if refused := g.checkHost(r); refused != nil {
		g.refuse(speller{w}, r, refused)
		g.showRefused(r, refused)
		return
	}
	c, passed, err := g.receive(r)
	if err != nil && g.web != nil && !wantsUpgrade(r) {
		allow(w, r, pageTime)
		g.web.ServeHTTP(w, r)
		return
	}
	w = speller{w}
	var a reply
	if err == nil {
		a, err = c.enter(w, r, passed)
	}
	if err != nil {
		g.refuse(w, r, err)
		if c == nil || c.env == nil || !c.rt.asks[kindConnect] { // PHP was not called
			g.showRefused(r, err)
		}
		if c != nil {
			c.release(endFor(err)) // counted until its answer is out
		}
		return
	}
	if c.test != nil {
		go func() {
			defer c.release(cause{})
			c.selftest()
		}()
		return
	}
	go c.serve(&a)
}

// enter calls PHP and upgrades. For a self-test PHP is not called.
func (c *connection) enter(w http.ResponseWriter, r *http.Request, passed http.Header) (a reply, err error) {
	defer c.g.recovered("handshake", func() {
		c.socket.CloseNow() // it may be upgraded
		err = refuse(http.StatusInternalServerError, "panic", "a bug")
	})
	if err = c.prepare(r, passed); err == nil {
		if c.test != nil {
			c.protocol, _ = c.agree("") // it returns an error of a name only
			err = c.openSelftest(w, r)
		} else {
			a, err = c.ask(w, r)
		}
	}
	if err != nil {
		return a, c.refusal(err)
	}
	return a, nil
}

// receive checks a handshake without PHP, and registers the connection.
func (g *Gateway) receive(r *http.Request) (*connection, http.Header, error) {
	s := g.settings.Load()
	if refused := checkHeaders(r, &s.Limits); refused != nil {
		return nil, nil, refused
	}
	rt, named := s.find(r.Host, r.URL.Path)
	if rt == nil {
		return nil, nil, refuse(http.StatusNotFound, "route", "no route")
	}
	if !wantsUpgrade(r) {
		refused := refuse(http.StatusUpgradeRequired, "no_upgrade", "%s", whyNoUpgrade(r))
		refused.header = http.Header{"Upgrade": {"websocket"}}
		if !isPlain(r) {
			refused.body = []byte(refused.reason + "\n")
		}
		return nil, nil, refused
	}
	if err := checkHandshake(r); err != nil {
		return nil, nil, err
	}
	who, err := clientOf(r, s.Trusted())
	if err != nil {
		return nil, nil, refuse(http.StatusBadRequest, "handshake", "%v", err)
	}
	if err := checkOrigin(r, rt, &who); err != nil {
		return nil, nil, err
	}
	passed, refused := passedHeaders(r, rt, &who)
	if refused != nil {
		return nil, nil, refused
	}
	test := g.selftests.begin(r)
	if refused := checkVersion(r); refused != nil && test == nil {
		return nil, nil, refused
	}
	if most, full := g.accepted.full(); full {
		return nil, nil, refuse(http.StatusServiceUnavailable, "sockets", "%d client sockets are open, the maximum for the file descriptors and limits.connections", most).later(comeBack)
	}
	if refused := g.admission.admit(&who, &s.Limits); refused != nil {
		return nil, nil, refused
	}
	c := g.newConnection(r, rt, named, who)
	c.test = test
	if !g.enter(c) {
		g.admission.release(&who)
		return nil, nil, refuseDraining()
	}
	g.warnUnknown(&who)
	return c, passed, nil
}

func (g *Gateway) newConnection(r *http.Request, rt *route, named target, who client) *connection {
	c := &connection{
		g: g, rt: rt, script: unique.Make(named.script), paths: named.paths, client: who, since: time.Now(),
		arriving: &arriving{parseReturning(r.URL.RawQuery), offeredProtocols(r.Header.Values("Sec-WebSocket-Protocol"))},
	}
	c.socket = ws.New(rt.limits, g.sockets)
	c.socket.Negotiate(r.Header)
	c.session = session.New(g.Node()+"-"+newID(), c.socket)
	return c
}

// prepare encodes the parameters of every event of the connection.
func (c *connection) prepare(r *http.Request, passed http.Header) error {
	params, err := c.g.handshakeEnv(c, r, passed)
	if err != nil {
		return err
	}
	if c.env, err = newEnv(params); err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, fcgi.ErrTooLarge) {
			status = http.StatusRequestHeaderFieldsTooLarge
		}
		return &refusal{status: status, why: "handshake", reason: err.Error(), cause: err}
	}
	return nil
}

// ask runs the connect event before the upgrade, and opens the connection if PHP accepts
// it.
func (c *connection) ask(w http.ResponseWriter, r *http.Request) (a reply, err error) {
	c.beginConnect(r.Context())
	if !c.rt.asks[kindConnect] {
		return a, c.open(w, r, &a)
	}
	e := event{kind: kindConnect, route: c.route()}
	if a, err = c.call(r.Context(), e); err != nil {
		return a, err
	}
	c.keepCookies(a.Head.Cookies)
	err = c.open(w, r, &a)
	c.concluded(&e, &a, err)
	return a, err
}

// agree selects the subprotocol: the script's choice, which the client must have offered,
// else wsfpm.v1, on every route, else the first of the route's that it offered.
func (c *connection) agree(named string) (string, error) {
	if named != "" {
		if !slices.Contains(c.arriving.offered, named) {
			return "", failed("WS-Protocol %q was not offered by the client", excerpt.Of(named))
		}
		return named, nil
	}
	if slices.Contains(c.arriving.offered, envelope.Protocol) {
		return envelope.Protocol, nil
	}
	for _, name := range c.rt.Protocols {
		if slices.Contains(c.arriving.offered, name) {
			return name, nil
		}
	}
	return "", nil
}

// open selects the subprotocol, applies the answer to connect and upgrades: once the client
// has the 101, pushes to it arrive.
func (c *connection) open(w http.ResponseWriter, r *http.Request, a *reply) (err error) {
	if c.protocol, err = c.agree(a.Head.Protocol); err != nil {
		return err
	}
	membership, err := c.membershipAfter(&a.Reply, session.Membership{})
	if err != nil {
		return err
	}
	if a.pushes, err = c.pushes(&a.Reply); err != nil {
		return err
	}
	c.letIn = c.rt.asks[kindConnect]
	_ = c.g.hub.Set(c.session, membership) // for the disconnect event; the client receives no push before Enter
	if !c.g.admission.moveUser("", membership.User, c.g.settings.Load().Limits.ConnectionsPerUser) {
		refused := refuse(http.StatusTooManyRequests, "connections_per_user", "limits.connections_per_user is reached for %q", excerpt.Of(membership.User)).later(10)
		refused.close = &closeTooMany
		return refused
	}
	c.user = membership.User
	if err := r.Context().Err(); err != nil {
		return &refusal{status: http.StatusBadRequest, why: "canceled", reason: "the client left", cause: err}
	}
	if c.g.isDraining() {
		return refuseDraining()
	}
	if err := c.storeFirst(r.Context(), a.pushes.entries); err != nil {
		return err
	}
	c.register(r)
	if err := c.g.members.Enter(r.Context(), c.session, c.arrival(&a.Reply, membership)); err != nil {
		return err
	}
	c.relayBy(&a.Reply)
	c.cameIn(a.pushes.rest)
	passOn(w.Header(), a.Head.Fields, notOn101)
	if err := c.socket.Upgrade(w, r, c.protocol); err != nil {
		return &refusal{reason: "the upgrade failed", cause: err}
	}
	c.expireBy(&a.Reply)
	c.warnProtocol()
	c.arriving = nil
	if c.g.upgraded(c) || c.claimed() { // claimed before it was one of the clients
		c.g.loops.Go(func() { c.drainConn(closeDraining) })
	}
	return nil
}

// release undoes receive and open after a failed handshake. A script that accepted the
// client gets the disconnect event.
func (c *connection) release(end cause) {
	c.g.members.Leave(c.session)
	c.g.admission.moveUser(c.user, "", 0)
	c.g.admission.release(&c.client)
	if !c.letIn {
		c.unregister()
		c.g.leave(c)
		return
	}
	end.took = time.Since(c.since)
	go c.depart(end) // frees the server's goroutine: depart may serve other events
}
