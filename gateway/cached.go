package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.uber.org/zap"

	"wsfpm/fcgi"
	"wsfpm/gateway/cache"
	"wsfpm/session"
)

// answer returns the answer to a message: PHP's, or on a route with a cache that to the same
// message of another client. A message that runs once is never answered so, nor copies of relayed
// frames, nor one on a route that a reload has removed, whose cache no purge finds.
func (c *connection) answer(ctx context.Context, e event) (reply, error) {
	if e.route.cache == nil || e.id != "" || e.frames > 0 || e.route.of != c.g.settings.Load() {
		return c.call(ctx, e)
	}
	return c.answerCached(ctx, e)
}

// answerCached is answer on a route with a cache.
func (c *connection) answerCached(ctx context.Context, e event) (a reply, err error) {
	began := time.Now()
	if !c.shares(e.route, began) {
		return c.call(ctx, e)
	}
	asked := &asker{c, c.env, c.session.Membership()}
	e.membership = &asked.membership
	m, run, err := e.route.cache.Ask(asked.question(&e))
	switch {
	case err != nil:
		a.began, a.took = began, time.Since(began)
		err = &fcgi.Error{Phase: fcgi.PhaseQueue, Script: c.env.Script(), ID: c.id(), Err: fmt.Errorf("%w: %w", fcgi.ErrOverloaded, err)}
		c.concluded(&e, &a, err)
		return a, err
	case asked.changed(): // while it waited
		if run != nil {
			run.Close()
		}
		e.membership, e.waited = nil, time.Since(began)
		return c.call(ctx, e)
	case run == nil:
		a.Own.Message, a.cached, a.began, a.took = m, true, began, time.Since(began)
		if c.g.observers.any() {
			a.told = note(&fcgi.Request{Env: c.env, Vars: e.vars(nil, c, c.id(), &asked.membership)})
		}
		return a, nil
	}
	defer run.Close() // also after a panic: others may wait
	e.waited = run.Waited
	if a, err = c.call(ctx, e); err != nil {
		return a, err
	}
	c.keepAnswer(e.route, run, asked, &a)
	return a, nil
}

// shares reports whether the connection's messages may be answered by the route's cache: PHP
// gets the same parameters for it as for a new connection, the script's path aside, which is a
// part of the key. It follows the links of the handshake's route, as a run does.
func (c *connection) shares(rt *route, now time.Time) bool {
	if c.mixed || c.rt != rt && !maps.Equal(c.rt.Params, rt.Params) {
		return false
	}
	p := c.rt.files.current(now)
	return p == c.paths || c.followLinks(p) == nil
}

// keepAnswer ends a run with its answer, which is stored or not.
func (c *connection) keepAnswer(rt *route, run *cache.Run, asked *asker, a *reply) {
	age, vary, err := c.freshness(rt, a)
	switch {
	case err != nil, age == 0, asked.changed():
		run.Refuse()
	case !run.Store(a.Own.Message, age, vary):
		err = errors.New("it is larger than a sixteenth of the route's cache")
	}
	if err == nil {
		return
	}
	withoutDigits := strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, err.Error())
	if c.g.once.first("cache " + c.script.Value() + withoutDigits) {
		c.log().Warn("answer not kept in the cache", zap.Error(err))
	}
}

// freshness returns for how long an answer may be kept, and the names that it varies by: 0
// for one that does not ask for it. The error is why one that does is not kept.
func (c *connection) freshness(rt *route, a *reply) (age time.Duration, vary []string, err error) {
	age, err = cache.Freshness(a.Head.Fields.Values("Cache-Control"))
	if err != nil || age == 0 {
		return 0, nil, err
	}
	if err := onlyABody(a); err != nil {
		return 0, nil, err
	}
	if most := time.Duration(rt.CacheMaxAge); age > most {
		return 0, nil, fmt.Errorf("its max-age of %v is more than the route's cache_max_age, %v", age, most)
	}
	if vary, err = cache.ParseVary(a.Head.Fields.Values("Vary")); err != nil {
		return 0, nil, err
	}
	for _, name := range vary {
		if !c.varies(name) {
			return 0, nil, fmt.Errorf("its Vary names %s, which PHP does not get from handshakes on this route", name)
		}
	}
	return age, vary, nil
}

// onlyABody returns what an answer is beside a plain body for its own client, or nil.
func onlyABody(a *reply) error {
	for _, f := range a.Head.Fields {
		switch name := http.CanonicalHeaderKey(f.Name); {
		case strings.HasPrefix(name, "Ws-"), name == "Set-Cookie", name == "Age":
			return fmt.Errorf("it has the header %s, which is for one client", f.Name)
		case name == "Expires":
			return errors.New("it has Expires beside max-age, as PHP adds it to the content of any session with session.cache_limiter = public")
		}
	}
	switch {
	case a.Head.Status != http.StatusOK:
		return fmt.Errorf("its status is %d, not 200", a.Head.Status)
	case a.Own.Message == nil || len(a.More)+len(a.Others) > 0:
		return errors.New("it is not a body, which alone can be kept")
	case a.Oddity != "":
		return errors.New(a.Oddity)
	}
	return nil
}

// varies reports whether PHP gets what Vary names in lower case: what WS_ parameters hold, or
// a header of the handshake.
func (c *connection) varies(name string) bool {
	switch name {
	case "ws-user", "ws-state", "ws-channels", "ws-protocol", "host":
		return true
	}
	return !strings.HasPrefix(name, "ws-") && passes(http.CanonicalHeaderKey(name), c.rt, &c.client, nil)
}

// asker is what a connection was when its message asked the cache.
type asker struct {
	c          *connection
	env        *fcgi.Env
	membership session.Membership
}

// changed reports whether the connection has changed since: what PHP reads for it does not
// belong to the key that the message has asked with.
func (k *asker) changed() bool {
	return k.c.env != k.env || !k.c.session.Membership().Equal(k.membership)
}

// question is a message as the cache knows it: by all that PHP gets, but for what only Vary
// names, what is each client's own, and the number of the event.
func (k *asker) question(e *event) cache.Question {
	base, parts := k.c.keyBase(), e.route.parts
	opcode := "text"
	if e.binary {
		opcode = "binary"
	}
	p := make(cache.Parts, 0, 256+len(e.body)).AddBytes(base[:]).Add(opcode).Add(k.c.protocol).AddBytes(e.body)
	p = p.AddOptional(k.membership.User, parts.user).AddOptional(k.membership.State, parts.state)
	channels := ""
	if parts.channels {
		channels = joinNames(k.membership.Channels)
	}
	key := p.AddOptional(channels, parts.channels).Key()
	return cache.Question{Key: key, Wait: e.route.upstream.wait, Vary: func(names []string) cache.Key {
		if len(names) == 0 {
			return key
		}
		p := make(cache.Parts, 0, 256).AddBytes(key[:])
		for _, name := range names {
			p = p.Add(name).AddOptional(k.value(name))
		}
		return p.Key()
	}}
}

// value is what PHP gets under a name of Vary in lower case. Cookie is the jar as it is now.
func (k *asker) value(name string) (value string, present bool) {
	switch name {
	case "ws-user":
		return k.membership.User, true
	case "ws-state":
		return k.membership.State, true
	case "ws-channels":
		return joinNames(k.membership.Channels), true
	case "ws-protocol":
		return k.c.protocol, true
	}
	return k.env.Get("HTTP_" + strings.ReplaceAll(strings.ToUpper(name), "-", "_"))
}

// keyed is the part of a key that the parameters of all events of a connection are.
type keyed struct {
	env *fcgi.Env
	key cache.Key
}

// keyBase returns the key of the connection's parameters, but for each client's own.
func (c *connection) keyBase() cache.Key {
	if c.keyed == nil || c.keyed.env != c.env {
		params := c.env.Params()
		var p cache.Parts
		for _, name := range slices.Sorted(maps.Keys(params)) {
			if !isClientsOwn(name) {
				p = p.Add(name).Add(params[name])
			}
		}
		c.keyed = &keyed{c.env, p.Key()}
	}
	return c.keyed.key
}

// isClientsOwn reports whether a parameter is a client's own, and not part of a key: a header
// of its handshake, which Vary may name, or its address and connection.
func isClientsOwn(name string) bool {
	switch name {
	case "HTTP_HOST":
		return false
	case "REMOTE_ADDR", "REMOTE_PORT", "WS_CONNECTION", "WS_CONNECTED_AT", "WS_NODE":
		return true
	}
	return strings.HasPrefix(name, "HTTP_")
}
