package gateway

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"wsfpm/gateway/config"
	"wsfpm/session"
)

// Single is one event of a client that does not exist, for trying a script out.
type Single struct {
	Kind       string             // connect, message or disconnect
	Handshake  *http.Request      // the client's; its Host and path choose the route
	Membership session.Membership // of the client before the event
	Protocol   string             // the agreed subprotocol, but for connect

	Data   []byte // of a message
	Binary bool

	Code   int           // of a disconnect
	Reason string        // of a disconnect
	Lasted time.Duration // of a disconnect

	// Allow, unless nil, is called with the path of the script before it runs. After an error
	// of it nothing runs.
	Allow func(script string) error

	// Params, unless nil, are all that PHP is told, instead of what follows from the
	// fields above. The params of the route override them. PHP_VALUE and PHP_ADMIN_VALUE are
	// errors.
	Params map[string]string
}

// Run runs the script for one event and returns how it ended. PHP really runs, and the answer
// is judged as that to a client; nothing is done with it: no membership changes, no message is
// sent or stored. A stream is read to its end. The error is that of an event that no client
// could cause; the script has not run then.
func (g *Gateway) Run(ctx context.Context, s *Single) (*Event, error) {
	c, err := g.imagine(s)
	if err != nil {
		return nil, err
	}
	if s.Allow != nil {
		if err := s.Allow(c.env.Script()); err != nil {
			return nil, err
		}
	}
	e := event{route: c.rt, body: s.Data, binary: s.Binary, single: true, whole: s.Params != nil,
		close: cause{code: s.Code, reason: s.Reason, took: s.Lasted}}
	for e.kind.String() != s.Kind {
		if e.kind++; e.kind == kinds {
			return nil, fmt.Errorf("there is no event %q: want connect, message or disconnect", s.Kind)
		}
	}
	if e.kind == kindMessage {
		e.seq, c.seq = 1, 1
	}
	a, err := c.call(ctx, e)
	if err == nil {
		_, err = c.membershipAfter(&a.Reply, s.Membership)
	}
	if err == nil && e.kind == kindConnect {
		_, err = c.agree(a.Head.Protocol)
	}
	if f := failureOf(&e, err); f != nil && !f.Meant {
		c.logFailure(e.kind, err)
	}
	seen := c.seen(&e, &a, err)
	return &seen, nil
}

// imagine returns a connection that is in no list.
func (g *Gateway) imagine(s *Single) (*connection, error) {
	r := s.Handshake
	rt, named := g.settings.Load().find(r.Host, r.URL.Path)
	if rt == nil {
		return nil, fmt.Errorf("no route has the path %q", r.URL.Path)
	}
	who, err := clientOf(r, config.Trusted{})
	if err != nil {
		return nil, err
	}
	passed, refused := passedHeaders(r, rt, &who)
	if refused != nil {
		return nil, refused
	}
	c := g.newConnection(r, rt, named, who)
	c.protocol = s.Protocol
	_ = c.g.hub.Set(c.session, s.Membership) // it is not in the hub: stored for the event
	if s.Params == nil {
		return c, c.prepare(r, passed)
	}
	for _, name := range []string{"PHP_VALUE", "PHP_ADMIN_VALUE"} {
		if _, there := s.Params[name]; there {
			return nil, fmt.Errorf("%s is never sent: it changes PHP's settings, such as auto_prepend_file, for this and every later request of a worker", name)
		}
	}
	params := maps.Clone(s.Params)
	maps.Copy(params, rt.Params)
	c.arriving.offered = strings.Split(params["WS_PROTOCOLS"], ",")
	c.env, err = newEnv(params)
	return c, err
}
