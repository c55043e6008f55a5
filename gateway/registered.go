package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"wsfpm/fcgi"
	"wsfpm/gateway/registry"
	"wsfpm/session"
)

// register puts a connection into the registry, if its route or presence wants that, before
// it is found in the hub.
func (c *connection) register(r *http.Request) {
	reg := c.g.registry
	if reg == nil || !c.rt.Registry && !c.g.settings.Load().Presence.On() {
		return
	}
	host, uri, connected := r.Host, requestURI(r), c.since.Truncate(time.Millisecond)
	c.entry = reg.Enter(r.Context(), c.id(), func() registry.Info {
		m := c.session.Membership()
		return registry.Info{
			Route: c.rt.Path, Host: host, Script: c.script.Value(), URI: uri, Address: c.client.addr.String(), Port: portText(c.client.port),
			HTTPS: c.client.secure, Protocol: c.protocol, User: m.User, Channels: m.Channels, State: m.State, Connected: connected,
		}
	})
}

// unregister removes a connection whose disconnect event does not run.
func (c *connection) unregister() {
	if c.entry != nil {
		c.g.registry.Drop(c.entry)
	}
}

// asksFirst reports whether it is decided right before an event is sent whether it runs.
func (c *connection) asksFirst(e *event) bool {
	return c.entry != nil && e.kind != kindConnect || e.end != nil && e.end.lost != nil || c.run != nil
}

// before returns what decides, right before an event is sent, whether it runs, and returns
// its parameters.
func (c *connection) before(e *event) func(context.Context) ([]fcgi.Var, error) {
	return func(ctx context.Context) ([]fcgi.Var, error) {
		left := false
		switch {
		case e.end != nil:
			d := e.end.decide(ctx)
			if !d.Run {
				return nil, errTakenOver
			}
			left = d.UserLeft
		case c.entry != nil && !c.g.registry.Awake(ctx, c.entry):
			return nil, errTakenOver
		case c.run != nil:
			if err := c.run.Ready(ctx); err != nil {
				return nil, err
			}
		}
		id, membership := c.session.ID(), e.membershipOf(c)
		vars := e.vars(nil, c, id, &membership)
		if left {
			vars = append(vars, fcgi.Var{Name: "WS_USER_LEFT", Value: "1"})
		}
		return vars, nil
	}
}

// decide asks, once, whether this node runs the event.
func (f *disconnect) decide(ctx context.Context) registry.Decision {
	if f.decision != nil {
		return *f.decision
	}
	c := f.c
	var d registry.Decision
	if f.lost == nil {
		d = c.g.registry.Leave(context.WithoutCancel(ctx), c.entry)
	} else {
		var newest *registry.Record
		d, newest = c.g.registry.TakeLost(context.WithoutCancel(ctx), f.lost)
		_ = c.g.hub.Set(c.session, membershipOf(newest)) // is not in the hub: stored for the event
	}
	f.decision = &d
	return d
}

// settle ends the event's part in the registry. A record whose event did not run is left to
// other nodes if the process ends, else removed.
func (f *disconnect) settle(why error) {
	reg := f.c.g.registry
	undecided := f.decision == nil && !errors.Is(why, fcgi.ErrClosed)
	switch {
	case f.lost != nil:
		if undecided {
			reg.DropLost(f.lost)
		}
		reg.LostOver(f.lost)
	case undecided:
		f.c.unregister()
	}
}

func membershipOf(r *registry.Record) session.Membership {
	return session.Membership{User: r.User, Channels: r.Channels, State: r.State}
}
