package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unique"

	"go.uber.org/zap"

	"wsfpm/gateway/config"
	"wsfpm/gateway/registry"
	"wsfpm/session"
)

// nodeLost is the end of a connection whose node died, as its disconnect event reports it.
const nodeLost = "node lost"

// newRegistry starts the registry, if the configuration needs one and there is a store.
func newRegistry(g *Gateway, cfg *config.Config, store registry.Store) *registry.Registry {
	if store == nil || !cfg.NeedsRegistry() {
		return nil
	}
	return registry.New(registry.Config{
		Store:    store,
		Prefix:   cfg.Redis.Prefix[0],
		Name:     func() string { return newNode(cfg.Node) },
		Presence: presenceOf(cfg),
		Lost:     func(l *registry.Lost) { go g.lost(l) },
		Claimed:  g.sendClaimedAway,
		Timeout:  time.Duration(cfg.Redis.Confirm),
		Logger:   g.log,
	})
}

func presenceOf(cfg *config.Config) *registry.Presence {
	return &registry.Presence{Users: cfg.Presence.Users, Channels: cfg.Presence.Channels}
}

// sendClaimedAway closes the clients that other nodes have claimed.
func (g *Gateway) sendClaimedAway() {
	for _, c := range g.clients() {
		if c.claimed() {
			g.loops.Go(func() { c.drainConn(closeDraining) })
		}
	}
}

// lost queues the disconnect event of a dead node's connection.
func (g *Gateway) lost(l *registry.Lost) {
	if !g.enterLost() {
		g.registry.LostOver(l)
		return
	}
	c, err := g.connectionOf(l)
	if err != nil || !c.rt.asks[kindDisconnect] {
		if err != nil {
			g.stats.disconnectsLost.Add(1)
			g.log.Warn("disconnect event of a dead node's connection cannot be run", zap.String("connection", l.ID), zap.String("dead", l.Node), zap.Error(err))
		}
		g.registry.DropLost(l)
		g.registry.LostOver(l)
		g.running.Done()
		return
	}
	end := cause{code: lostCode, reason: nodeLost, took: max(0, time.Since(l.Record.Connected))} // the clock of the dead node may have been ahead
	f := &disconnect{c: c, lost: l, event: event{kind: kindDisconnect, close: end}, since: time.Now()}
	c.route().upstream.disconnects.push(f)
}

// enterLost counts a connection of another node as one that the drain waits for.
func (g *Gateway) enterLost() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.draining {
		g.running.Add(1)
	}
	return !g.draining
}

// connectionOf is a connection without a socket, with the parameters that its handshake
// would have here, without headers. What the record says of the script is not used.
func (g *Gateway) connectionOf(l *registry.Lost) (*connection, error) {
	u, err := url.ParseRequestURI(l.Record.URI)
	if err != nil {
		return nil, err
	}
	rt, named := g.settings.Load().find(l.Record.Host, u.Path)
	if rt == nil {
		return nil, errors.New("no route has its path and host")
	}
	c := &connection{
		g: g, rt: rt, script: unique.Make(named.script), paths: named.paths, protocol: l.Record.Protocol,
		since: l.Record.Connected, letIn: true, session: session.New(l.ID, nil),
	}
	port, _ := strconv.ParseUint(l.Record.Port, 10, 16) // 0 without one
	c.client = client{port: uint16(port), secure: l.Record.HTTPS}
	if c.client.addr, err = netip.ParseAddr(l.Record.Address); err != nil {
		return nil, err
	}
	_ = g.hub.Set(c.session, membershipOf(&l.Record)) // is not in the hub: stored for the event
	r := &http.Request{
		Method: http.MethodGet, URL: u, RequestURI: l.Record.URI, Host: l.Record.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		RemoteAddr: netip.AddrPortFrom(c.client.addr, 0).String(), Header: http.Header{},
	}
	params, err := g.handshakeEnv(c, r.WithContext(context.Background()), http.Header{})
	if err != nil {
		return nil, err
	}
	params["WS_NODE"] = l.Node
	c.env, err = newEnv(params)
	return c, err
}

// changedRegistry returns the keys that need a restart because no registry runs. Without its beats,
// once takes over what a dead node ran only when that is over for certain.
func changedRegistry(old, next *config.Config) (keys []string) {
	if old.NeedsRegistry() || !next.NeedsRegistry() {
		return nil
	}
	if next.Presence.On() {
		keys = append(keys, "presence")
	}
	if slices.ContainsFunc(next.Routes, func(r *config.Route) bool { return r.Registry }) {
		keys = append(keys, "route.registry")
	}
	if slices.ContainsFunc(next.Routes, func(r *config.Route) bool { return r.Once > 0 }) {
		keys = append(keys, "route.once")
	}
	return keys
}
