package gateway

import (
	"fmt"
	"net"
	"path"
	"slices"
	"strings"
	"time"

	"wsfpm/gateway/config"
	"wsfpm/gateway/out"
	"wsfpm/gateway/ws"
)

// settings is a configuration in the form for use. It is immutable; a reload
// replaces it. Connections keep their route's script and environment, but
// follow its timeouts and limits.
type settings struct {
	*config.Config
	routes []*route // in the order of precedence
}

// route is a configured route with what is worked out once.
type route struct {
	*config.Route
	of       *settings // those it belongs to
	upstream *upstream
	limits   *ws.Limits
	asks     [kinds]bool // for which events the script is called
	files    *resolver
}

// target is the script that a handshake named.
type target struct {
	script string // as configured
	paths  *paths // where the route's links led
}

// newSettings works cfg out over pools that are running.
func newSettings(cfg *config.Config, pools map[string]*pool) (*settings, error) {
	s := &settings{Config: cfg}
	for _, r := range cfg.Routes {
		up, err := newUpstream(cfg, r.Pools(), pools)
		if err != nil {
			return nil, fmt.Errorf("route %s: %w", r.Path, err)
		}
		rt := &route{
			Route:    r,
			of:       s,
			upstream: up,
			limits:   socketLimits(&cfg.Limits, r),
			files:    newResolver(configuredPaths(r), r.ResolveRoot),
		}
		for k := range kinds {
			rt.asks[k] = slices.Contains(r.Events, k.String())
		}
		s.routes = append(s.routes, rt)
	}
	slices.SortStableFunc(s.routes, func(a, b *route) int { return b.rank() - a.rank() })
	return s, nil
}

// rank orders routes: exact paths first, then {script}, then any; within
// these, routes for a host before those for all.
func (r *route) rank() int {
	rank := 4
	switch {
	case r.Path == config.AnyPath:
		rank = 0
	case strings.HasSuffix(r.Path, config.ScriptVar):
		rank = 2
	}
	if len(r.Host) > 0 {
		rank++
	}
	return rank
}

// configuredPaths are a route's paths as the configuration has them.
func configuredPaths(r *config.Route) paths {
	p := paths{documentRoot: path.Clean(r.DocumentRoot), base: r.Script}
	if r.Root != "" {
		p.base = path.Clean(r.Root)
	}
	if r.DocumentRoot == "" && r.Root != "" {
		p.documentRoot = p.base
	} else if r.DocumentRoot == "" {
		p.documentRoot = path.Dir(r.Script)
	}
	return p
}

// find returns the route for a request and the script that it names, or nil.
func (s *settings) find(host, urlPath string) (*route, target) {
	host = hostName(host)
	for _, r := range s.routes {
		if len(r.Host) > 0 && !slices.ContainsFunc(r.Host, func(h string) bool { return strings.EqualFold(h, host) }) {
			continue
		}
		if named, ok := r.match(urlPath); ok {
			return r, named
		}
	}
	return nil, target{}
}

// match returns the script that answers urlPath on this route, if one does. A
// name that is not there is looked for again after a new look at the links: the
// script may be new in this release.
func (r *route) match(urlPath string) (target, bool) {
	now := time.Now()
	prefix, byName := strings.CutSuffix(r.Path, config.ScriptVar)
	if !byName {
		if r.Path != urlPath && r.Path != config.AnyPath {
			return target{}, false
		}
		return target{r.Script, r.files.current(now)}, true
	}
	name, found := strings.CutPrefix(urlPath, prefix)
	if !found || !isScriptName(name) {
		return target{}, false
	}
	script := name + ".php"
	p := r.files.current(now)
	ok := holds(p.base, script)
	if !ok {
		p = r.files.since(now, time.Now())
		ok = holds(p.base, script)
	}
	return target{path.Join(r.Root, script), p}, ok
}

// isScriptName reports whether a client may choose a script by this name:
// letters, digits, "_" and "-" only, so that no byte of it means anything to a
// file system.
func isScriptName(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return s != "" && len(s) <= 100
}

// current is this route in the newest settings: the one with the same path and
// hosts. A route that is gone goes on as it was.
func (s *settings) current(old *route) *route {
	for _, r := range s.routes {
		if r.Path == old.Path && slices.Equal(r.Host, old.Host) {
			return r
		}
	}
	return old
}

// limitsOf are the limits that a route's sockets have in these settings, also
// those of a route that is gone from them.
func (s *settings) limitsOf(old *route) *ws.Limits {
	rt := s.current(old)
	if rt.of == s {
		return rt.limits
	}
	return socketLimits(&s.Limits, rt.Route)
}

// socketLimits is what package ws needs to know of l and r.
func socketLimits(l *config.Limits, r *config.Route) *ws.Limits {
	return &ws.Limits{
		MessageLimit:    int64(r.MessageLimit),
		Out:             out.Limits{QueueLimit: int64(l.Queue), QueueMessages: l.QueueMessages, WriteTimeout: time.Duration(l.WriteTimeout)},
		PingInterval:    time.Duration(l.PingInterval),
		PongTimeout:     time.Duration(l.PongTimeout),
		MaxFragments:    l.MaxFragments,
		AssemblyTimeout: time.Duration(l.AssemblyTimeout),
		ControlRate:     l.ControlRate,
		ControlBurst:    l.ControlBurst,
		Compression:     r.Compression,
	}
}

// hostName is a Host header without its port, and without the dot that may end
// a name in full (RFC 3986, 3.2.2): "a.example." is the host "a.example".
func hostName(host string) string {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	return strings.TrimSuffix(name, ".")
}
