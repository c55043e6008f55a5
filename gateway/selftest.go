package gateway

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"wsfpm/gateway/config"
	"wsfpm/session"
)

// SelftestHeader is the header of a handshake that has the token of a self-test. Its
// Sec-WebSocket-Version is [SelftestVersion], which no server speaks: a gateway that has not
// armed the token refuses the handshake without a call of PHP, like any other server (RFC
// 6455, 4.2.2).
const (
	SelftestHeader  = "Wsfpm-Selftest"
	SelftestVersion = "255"
)

// The bounds of self-tests.
const (
	mostSelftests = 4               // armed at the same time
	selftestArmed = time.Minute     // until the handshake must have come
	selftestTime  = 5 * time.Minute // from the handshake to the end of the socket
)

// ErrSelftests is the error of [Gateway.ArmSelftest] while all tokens are taken.
var ErrSelftests = errors.New("four self-tests are armed already: wait a minute")

// Selftest is the first message on the socket of a self-test: what PHP would be told of its
// handshake, and what the gateway knows of the way. Then each message is sent back.
type Selftest struct {
	Params       map[string]string `json:"params"`        // those of PHP that proxies have a part in
	Peer         string            `json:"peer"`          // the address and port from which the handshake came
	Trusted      bool              `json:"trusted"`       // the peer is among trusted_proxies
	ForwardedFor []string          `json:"forwarded_for"` // X-Forwarded-For, in its order
	Extensions   string            `json:"extensions"`    // Sec-WebSocket-Extensions as it came
	Compression  bool              `json:"compression"`   // the route has it on
	PingInterval config.Duration   `json:"ping_interval"`
	MessageLimit int64             `json:"message_limit"`
	Sockets      int               `json:"sockets"`     // the most that the process has descriptors for; 0: any number
	Connections  int               `json:"connections"` // limits.connections
}

// selftestParams are the parameters of PHP in a [Selftest]: those of the site's own, which
// may be secrets, are not among them.
var selftestParams = []string{
	"HTTP_HOST", "HTTP_ORIGIN", "HTTP_COOKIE", "HTTP_SEC_WEBSOCKET_PROTOCOL", "REQUEST_URI", "REQUEST_SCHEME", "HTTPS", "REMOTE_ADDR",
}

// selftest is an armed token.
type selftest struct {
	token  string
	until  time.Time
	silent bool // no pings are sent
}

// selftests are the armed tokens.
type selftests struct {
	armed atomic.Int32 // their number: a handshake without any takes no lock

	mu   sync.Mutex
	list []*selftest
}

// ArmSelftest returns a token for one socket, which the gateway answers itself, without PHP:
// see [Selftest]. The handshake must come within a minute, and the socket ends after five. A
// silent one sends no pings.
func (g *Gateway) ArmSelftest(silent bool) (token string, err error) {
	s := &g.selftests
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepLocked((*selftest).valid)
	if len(s.list) >= mostSelftests {
		return "", ErrSelftests
	}
	t := &selftest{token: rand.Text(), until: time.Now().Add(selftestArmed), silent: silent}
	s.list = append(s.list, t)
	s.armed.Store(int32(len(s.list)))
	return t.token, nil
}

// begin takes the token of a handshake; nil: it has none that is armed.
func (s *selftests) begin(r *http.Request) (taken *selftest) {
	if s.armed.Load() == 0 || r.Header.Get("Sec-WebSocket-Version") != SelftestVersion {
		return nil
	}
	token := []byte(r.Header.Get(SelftestHeader))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepLocked(func(t *selftest) bool {
		if t.valid() && subtle.ConstantTimeCompare([]byte(t.token), token) == 1 {
			taken = t
		}
		return t.valid() && t != taken
	})
	return taken
}

// valid reports whether a handshake may still come.
func (t *selftest) valid() bool { return time.Now().Before(t.until) }

// keepLocked removes the tokens that are not to be kept.
func (s *selftests) keepLocked(keep func(*selftest) bool) {
	s.list = slices.DeleteFunc(s.list, func(t *selftest) bool { return !keep(t) })
	s.armed.Store(int32(len(s.list)))
}

// openSelftest upgrades without PHP, and queues the first message.
func (c *connection) openSelftest(w http.ResponseWriter, r *http.Request) error {
	limits := *c.g.settings.Load().limitsOf(c.rt)
	seen, err := json.Marshal(c.mirror(r))
	if err != nil {
		return err
	}
	if c.test.silent {
		limits.PingInterval = 0
		c.socket.SetLimits(&limits)
	}
	if err := c.socket.QueueReply(session.NewMessage(false, seen)); err != nil {
		return err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Sec-WebSocket-Version", "13")
	if err := c.socket.Upgrade(w, r, c.protocol); err != nil {
		return &refusal{reason: "the upgrade failed", cause: err}
	}
	if c.g.upgraded(c) {
		c.g.loops.Go(func() { c.drainConn(closeDraining) })
	}
	return nil
}

// mirror returns what the gateway sees of a self-test's handshake.
func (c *connection) mirror(r *http.Request) Selftest {
	now := c.g.settings.Load()
	limits := now.limitsOf(c.rt)
	sockets, _ := now.Sockets(c.g.files)
	hops, _ := forwarded(r, "X-Forwarded-For") // its error has refused the handshake
	s := Selftest{
		Params: make(map[string]string), Peer: r.RemoteAddr, Trusted: c.client.trusted, ForwardedFor: hops,
		Extensions: r.Header.Get("Sec-WebSocket-Extensions"), Compression: limits.Compression,
		PingInterval: config.Duration(limits.PingInterval), MessageLimit: limits.MessageLimit,
		Sockets: sockets, Connections: now.Limits.Connections,
	}
	params := c.env.Params()
	for _, name := range selftestParams {
		if value, ok := params[name]; ok {
			s.Params[name] = value
		}
	}
	return s
}

// selftest sends each message back until the socket ends, in five minutes at the latest.
func (c *connection) selftest() {
	defer c.g.recovered("self-test", c.socket.CloseNow)
	timer := time.AfterFunc(selftestTime, func() { c.session.Close(closeSelftest) })
	defer timer.Stop()
	for {
		m, err := c.socket.Read()
		if err != nil {
			return
		}
		c.socket.BeginReply()
		_ = c.socket.QueueReply(session.NewMessage(m.Binary, m.Data)) // the next Read reports its error
		c.socket.EndReply(m)
		_ = c.socket.Drained(context.Background()) // the write timeout bounds it
	}
}

// closeSelftest ends a self-test that has taken its time.
var closeSelftest = session.Close{Code: 1000, Reason: "the self-test is over"}
