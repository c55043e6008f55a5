package gateway

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"wsfpm/fcgi"
	"wsfpm/gateway/excerpt"
	"wsfpm/gateway/ws"
	"wsfpm/session"
)

// ServeHTTP is the beginning of a connection's walk: who asks, may they, what
// does PHP say, then the upgrade. From there serve goes on, on a goroutine of
// its own, so that the server's memory for the handshake is freed.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.accepted.came(r)
	if refused := g.checkHost(r); refused != nil {
		g.refuse(speller{w}, r, refused)
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
		if c != nil {
			c.release(endFor(err)) // counted until its answer is out
		}
		return
	}
	go c.serve(&a)
}

// enter asks PHP and upgrades.
func (c *connection) enter(w http.ResponseWriter, r *http.Request, passed http.Header) (a reply, err error) {
	defer func() {
		if v := recover(); v != nil {
			c.g.survived("handshake", v)
			err = refuse(http.StatusInternalServerError, "panic", "a bug")
		}
	}()
	if err = c.prepare(r, passed); err == nil {
		a, err = c.ask(w, r)
	}
	if err != nil {
		return a, c.refusal(err)
	}
	return a, nil
}

// receive checks a handshake as far as that is possible without PHP, and
// counts the connection in.
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
	if most, full := g.accepted.full(); full {
		refused := refuse(http.StatusServiceUnavailable, "sockets", "%d sockets of clients are open, which is all that file descriptors and limits.connections allow", most)
		refused.header = retryAfter(comeBack)
		return nil, nil, refused
	}
	if refused := g.admission.admit(&who, &s.Limits); refused != nil {
		return nil, nil, refused
	}
	c := g.newConnection(r, rt, named, who)
	if !g.enter(c) {
		g.admission.release(&who)
		return nil, nil, refuseDraining()
	}
	g.warnUnknown(&who)
	return c, passed, nil
}

func (g *Gateway) newConnection(r *http.Request, rt *route, named target, who client) *connection {
	c := &connection{
		g: g, rt: rt, script: named.script, paths: named.paths, client: who,
		offered: offeredProtocols(r.Header.Values("Sec-WebSocket-Protocol")),
		since:   time.Now(),
	}
	c.socket = ws.New(rt.limits, g.sockets)
	c.socket.Negotiate(r.Header)
	c.session = session.New(g.node+"-"+newID(), c.socket)
	return c
}

// wantsUpgrade reports whether r asks for a WebSocket (RFC 6455, 4.2.1).
func wantsUpgrade(r *http.Request) bool {
	return hasToken(r.Header, "Upgrade", "websocket") && hasToken(r.Header, "Connection", "upgrade")
}

// checkHandshake checks what the rest of RFC 6455, 4.2.1 asks of a client, so
// that PHP is called for good handshakes only.
func checkHandshake(r *http.Request) error {
	key := r.Header.Values("Sec-WebSocket-Key")
	switch {
	case r.Method != http.MethodGet:
		return refuse(http.StatusMethodNotAllowed, "handshake", "the handshake's method is %s, not GET", excerpt.Of(r.Method))
	case !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1:
		return refuse(http.StatusHTTPVersionNotSupported, "handshake", "the handshake is not HTTP/1.1: if nginx has passed it on, set: %s", nginxVersion)
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		refused := refuse(http.StatusUpgradeRequired, "handshake", "Sec-WebSocket-Version is not 13")
		refused.header = http.Header{"Sec-Websocket-Version": {"13"}, "Upgrade": {"websocket"}}
		return refused
	case len(r.Header.Values("Sec-WebSocket-Version")) > 1:
		return refuse(http.StatusBadRequest, "handshake", "Sec-WebSocket-Version stands twice")
	case r.ContentLength != 0:
		return refuse(http.StatusBadRequest, "handshake", "the handshake has a body, whose bytes would be taken for frames")
	case len(key) != 1 || !isHandshakeKey(key[0]):
		return refuse(http.StatusBadRequest, "handshake", "Sec-WebSocket-Key is missing, doubled or not 16 bytes in base64")
	}
	return nil
}

func hasToken(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for each := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(each), token) {
				return true
			}
		}
	}
	return false
}

// prepare makes what every event of the connection tells PHP.
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

// ask runs the connect event, before the upgrade is answered, and opens the
// connection if its answer lets it.
func (c *connection) ask(w http.ResponseWriter, r *http.Request) (a reply, err error) {
	if !c.rt.asks(kindConnect) {
		return a, c.open(w, r, a)
	}
	if a, err = c.call(r.Context(), event{kind: kindConnect}); err != nil {
		return a, err
	}
	c.keepCookies(a.Head.Cookies)
	err = c.open(w, r, a)
	c.g.stats.event(kindConnect, err, a.took)
	return a, err
}

// agree picks the subprotocol: the one that the script named, which the client
// must have offered, else the first of the route's that it offered.
func (c *connection) agree(named string) (string, error) {
	if named != "" {
		if !slices.Contains(c.offered, named) {
			return "", failed("WS-Protocol %q was not offered by the client", excerpt.Of(named))
		}
		return named, nil
	}
	for _, name := range c.rt.Protocols {
		if slices.Contains(c.offered, name) {
			return name, nil
		}
	}
	return "", nil
}

// open agrees on a subprotocol, applies the answer to connect and upgrades:
// when the client sees the 101, or the first message behind it, pushes to it
// arrive.
func (c *connection) open(w http.ResponseWriter, r *http.Request, a reply) (err error) {
	if c.protocol, err = c.agree(a.Head.Protocol); err != nil {
		return err
	}
	membership, messages, err := c.next(session.Membership{}, &a.Reply, nil)
	if err != nil {
		return err
	}
	c.letIn = c.rt.asks(kindConnect)
	_ = c.g.hub.Set(c.session, membership) // for the disconnect event; nobody can be reached by it before Add
	if !c.g.admission.moveUser("", membership.User, c.g.settings.Load().Limits.ConnectionsPerUser) {
		refused := refuse(http.StatusTooManyRequests, "connections_per_user", "limits.connections_per_user is reached for %q", excerpt.Of(membership.User))
		refused.header, refused.close = retryAfter(10), &closeTooMany
		return refused
	}
	c.user = membership.User
	if err := r.Context().Err(); err != nil {
		return &refusal{status: http.StatusBadRequest, why: "canceled", reason: "the client left", cause: err}
	}
	if c.g.isDraining() {
		return refuseDraining()
	}
	if err := c.g.members.Enter(r.Context(), c.session, membership, messages...); err != nil {
		return err
	}
	c.cameIn(a.Others)
	passOn(w.Header(), a.Head.Fields, notOn101)
	if err := c.socket.Upgrade(w, r, c.protocol); err != nil {
		return &refusal{reason: "the upgrade failed", cause: err}
	}
	c.warnProtocol()
	if c.g.upgraded(c) {
		c.g.loops.Go(func() { c.sendOff(closeDraining) })
	}
	return nil
}

// release takes back what receive and open did, for a handshake that came to
// nothing. A script that let the client in is told of its end.
func (c *connection) release(end cause) {
	c.g.members.Leave(c.session)
	c.g.admission.moveUser(c.user, "", 0)
	c.g.admission.release(&c.client)
	if !c.letIn {
		c.g.leave(c)
		return
	}
	end.took = time.Since(c.since)
	go c.depart(end) // not on the server's goroutine, which may serve others' events then
}

// refusal is how a handshake is answered that failed behind PHP's door. A
// script that needs its author is told to the operator, and with dev = true to
// the client.
func (c *connection) refusal(err error) *refusal {
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		return refused
	}
	c.logFailure(kindConnect, err)
	refused := refusalFor(err)
	if c.rt.Dev {
		refused.body = []byte(errorText(c.rt, err))
	}
	return refused
}

// refusalTime is how long a client may take to read why it was refused, and to
// send the rest of a body that nobody wants; pageTime is the same for a page.
const (
	refusalTime = 10 * time.Second
	pageTime    = 5 * time.Minute
)

// allow bounds the time in which a request's body comes and its answer goes: a
// client that does neither is not waited for. A request without a body has been
// read, and its reading is not bounded: net/http would take that for the end of
// the client.
func allow(w http.ResponseWriter, r *http.Request, d time.Duration) {
	within := time.Now().Add(d)
	to := http.NewResponseController(w)
	_ = to.SetWriteDeadline(within)
	if r.ContentLength != 0 {
		_ = to.SetReadDeadline(within)
	}
}

// refuse answers a handshake with the status that err asks for.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, err error) {
	refused := refusalFor(err)
	if refused.status != 0 {
		g.stats.refused(Refusal{refused.status, refused.why})
	}
	remote, level := g.remote(r), zap.InfoLevel
	if isPlain(r) && !g.once.first("plain request "+strconv.Itoa(refused.status)+" "+remote) {
		level = zap.DebugLevel // health checks come every few seconds
	}
	g.log.Log(level, "handshake refused",
		zap.Int("status", refused.status),
		zap.String("path", excerpt.Of(r.URL.Path)),
		zap.String("remote", remote),
		zap.String("reason", refused.reason),
		zap.NamedError("error", refused.cause))
	if refused.status == 0 {
		return // the upgrade has answered, or the socket is taken over
	}
	allow(w, r, refusalTime)
	for name, values := range refused.header {
		w.Header()[name] = values
	}
	w.Header().Set("Connection", "close")
	body := refused.body
	if body == nil {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		body = []byte(http.StatusText(refused.status) + "\n")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(refused.status)
	_, _ = w.Write(body) // a client that left needs no answer
}

// remote is the client's address for the log, as REMOTE_ADDR has it.
func (g *Gateway) remote(r *http.Request) string {
	who, err := clientOf(r, g.settings.Load().Trusted())
	if err != nil {
		return r.RemoteAddr
	}
	return who.addr.String()
}

// notOn101 are the answer's headers that do not go onto the 101; hop-by-hop
// ones, WS-*, Sec-WebSocket-*, Content-* and X-Accel-* aside.
var notOn101 = map[string]bool{
	"Status": true, "Date": true, "Server": true, "Location": true,
	"Cache-Control": true, "Expires": true, "Pragma": true, "Last-Modified": true, "Etag": true,
}

// notOnRefusal is the same for a refusal, which is an ordinary answer.
var notOnRefusal = map[string]bool{"Content-Length": true, "Status": true}

// readByServer are the headers that may be passed on and that net/http looks up
// itself, in Go's spelling.
var readByServer = map[string]bool{"Content-Type": true, "Content-Encoding": true, "Date": true}

// passOn copies an answer's headers into h, all but those in without, in the
// script's own spelling of their names.
func passOn(h http.Header, fields fcgi.Header, without map[string]bool) {
	for _, f := range fields {
		name := http.CanonicalHeaderKey(f.Name)
		switch {
		case hopByHop[name], without[name], strings.HasPrefix(name, "Ws-"):
			continue
		case without["Location"] && (strings.HasPrefix(name, "Sec-Websocket-") || strings.HasPrefix(name, "Content-") || strings.HasPrefix(name, "X-Accel-")):
			continue
		}
		if !readByServer[name] {
			name = f.Name
		}
		h[name] = append(h[name], f.Value)
	}
}

// isHandshakeKey checks Sec-WebSocket-Key (RFC 6455, 4.1): 16 bytes in base64.
func isHandshakeKey(s string) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	return err == nil && len(key) == 16
}
