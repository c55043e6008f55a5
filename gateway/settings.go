package gateway

import (
	"fmt"
	"net"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"wsfpm/gateway/cache"
	"wsfpm/gateway/config"
	"wsfpm/gateway/out"
	"wsfpm/gateway/ws"
	"wsfpm/session"
)

// settings is a configuration prepared for use. It is immutable; a reload replaces it.
// Connections keep their route's script and environment, but follow changes of its timeouts
// and limits.
type settings struct {
	*config.Config
	routes []*route // in the order of precedence
}

// route is a configured route with derived values.
type route struct {
	*config.Route
	of       *settings // the settings that it belongs to
	upstream *upstream
	limits   *ws.Limits
	asks     [kinds]bool // the events for which the script is called
	files    *resolver
	gap      *session.Message // GapMessage; nil: none
	cache    *cache.Cache     // of answers; nil: none. New with each reload, and empty then
	parts    cacheParts

	// switched is the newest position when a reload switched Resume on: what was published
	// before is not in the log. Nil: it was on at the start, or the route is new. The routes
	// of later settings share it, see switchedAt.
	switched *atomic.Pointer[session.Position]
}

// target is the script named by a handshake.
type target struct {
	script string // as configured
	paths  *paths // the resolved paths of the route
}

// cacheParts is what of a connection's membership parts the answers of a cache.
type cacheParts struct{ user, state, channels bool }

// partsOf reads the key cache_key.
func partsOf(names []string) (p cacheParts) {
	for _, name := range names {
		switch name {
		case config.CacheUser:
			p.user = true
		case config.CacheState:
			p.state = true
		case config.CacheChannels:
			p.channels = true
		}
	}
	return p
}

// newSettings derives settings from cfg and running pools. Cached counts the messages that
// caches answer.
func newSettings(cfg *config.Config, pools map[string]*pool, cached *cache.Stats) (*settings, error) {
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
		if r.Cache > 0 {
			rt.cache, rt.parts = cache.New(int64(r.Cache), cached), partsOf(r.CacheKey)
		}
		if r.GapMessage != "" {
			rt.gap = session.NewMessage(false, []byte(r.GapMessage))
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

// configuredPaths returns a route's paths as configured.
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

// match returns the script for urlPath on this route, if there is one. If the script is
// missing, the links are resolved again: it may be new in this release.
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

// purge drops the stored answers of the routes that the paths mean. It does not wait.
func (s *settings) purge(paths []string) {
	if len(paths) == 0 {
		return
	}
	for _, rt := range s.routes {
		if rt.cache != nil && slices.ContainsFunc(paths, rt.isMeant) {
			rt.cache.Purge()
		}
	}
}

// purgeBy drops the stored answers that commands purge.
func (s *settings) purgeBy(commands []session.Command) {
	for i := range commands {
		s.purge(commands[i].Purge)
	}
}

// unmeant returns the first of the paths that means no route, "" if there is none.
func (s *settings) unmeant(paths []string) string {
	for _, path := range paths {
		if !slices.ContainsFunc(s.routes, func(rt *route) bool { return rt.isMeant(path) }) {
			return path
		}
	}
	return ""
}

// retire frees the caches of settings that were replaced: connections hold their routes.
func (s *settings) retire() {
	for _, rt := range s.routes {
		if rt.cache != nil {
			rt.cache.Retire()
		}
	}
}

// isMeant reports whether a purge of this path means the route: its own path, or one that a
// client may ask for on it.
func (r *route) isMeant(path string) bool {
	if path == session.PurgeAll || path == r.Path || r.Path == config.AnyPath {
		return true
	}
	prefix, byName := strings.CutSuffix(r.Path, config.ScriptVar)
	name, found := strings.CutPrefix(path, prefix)
	return byName && found && isScriptName(name)
}

// lettersAndDigits are those of ASCII.
const lettersAndDigits = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// isScriptName reports whether a client may select a script by this name: letters, digits,
// "_" and "-" only, without meaning to a file system.
func isScriptName(s string) bool {
	return s != "" && len(s) <= 100 && strings.Trim(s, lettersAndDigits+"_-") == ""
}

// current returns the route of these settings with the same path and hosts as old, or old
// itself if it was removed.
func (s *settings) current(old *route) *route {
	for _, r := range s.routes {
		if r.Path == old.Path && slices.Equal(r.Host, old.Host) {
			return r
		}
	}
	return old
}

// follow notes which routes resume since now, the newest position of the log.
func (s *settings) follow(before *settings, newest func() session.Position) {
	for _, r := range s.routes {
		if was := before.current(r); was.Resume { // a new route is its own predecessor
			r.switched = was.switched
		} else {
			r.switched = new(atomic.Pointer[session.Position])
			r.switchedAt(newest)
		}
	}
}

// switchedAt returns the position at which a reload switched Resume on, zero if none did. While
// the log was loading there was none: then it is the newest one now, which is asked for only in
// that case, and known is false as long as that is zero.
func (r *route) switchedAt(newest func() session.Position) (at session.Position, known bool) {
	if r.switched == nil {
		return session.Position{}, true
	}
	if noted := r.switched.Load(); noted != nil {
		return *noted, true
	}
	now := newest()
	if now.IsZero() {
		return now, false
	}
	r.switched.CompareAndSwap(nil, &now) // another one may have been first
	return *r.switched.Load(), true
}

// limitsOf returns the limits of a route's sockets in these settings, even if they no
// longer have the route.
func (s *settings) limitsOf(old *route) *ws.Limits {
	rt := s.current(old)
	if rt.of == s {
		return rt.limits
	}
	return socketLimits(&s.Limits, rt.Route)
}

// socketLimits returns the limits of l and r for package ws.
func socketLimits(l *config.Limits, r *config.Route) *ws.Limits {
	return &ws.Limits{
		MessageLimit:    int64(r.MessageLimit),
		SlowCode:        r.SlowCode,
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

// hostName returns a Host header without port and trailing dot (RFC 3986, 3.2.2).
func hostName(host string) string {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	return strings.TrimSuffix(name, ".")
}
