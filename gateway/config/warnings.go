package config

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"wsfpm/gateway/redisurl"
)

// Defaults of other programs, for the warnings.
const (
	phpPostMaxSize     = 8 << 20          // post_max_size of php.ini
	debianWorkers      = 5                // pm.max_children of Debian's pool www
	nginxReadTimeout   = 60 * time.Second // proxy_read_timeout
	systemdStopTimeout = 90 * time.Second // DefaultTimeoutStopSec
)

// minToken is the length of an admin token that cannot be guessed, in bytes.
const minToken = 16

// afterDrain is what a shutdown may need beyond Drain: the disconnect events.
const afterDrain = 15 * time.Second

// warnings are sentences.
type warnings []string

// add adds a sentence if a condition holds.
func (w *warnings) add(condition bool, format string, args ...any) {
	if condition {
		*w = append(*w, fmt.Sprintf(format, args...))
	}
}

// Warnings returns settings that are valid but often a mistake, one sentence each. It
// examines the configuration only, not the machine. Call it after [Config.Check].
func (c *Config) Warnings() []string {
	w := warnings(slices.Clone(c.notes))
	c.warnListeners(&w)
	for _, name := range slices.Sorted(maps.Keys(c.FPM)) {
		c.warnPool(&w, name, c.FPM[name])
	}
	l := &c.Limits
	for i, route := range c.Routes {
		key := indexed("route", i+1)
		route.warn(&w, key)
		w.add(l.OutboundMemory > 0 && route.AnswerLimit > l.OutboundMemory, "%s.answer_limit: %v is more than limits.outbound_memory, %v: a client that does not take an answer of that size at once is closed with 4408", key, route.AnswerLimit, l.OutboundMemory)
		w.add(l.InboundMemory > 0 && route.MessageLimit > l.InboundMemory, "%s.message_limit: %v is more than limits.inbound_memory, %v: a message of that size cannot be received", key, route.MessageLimit, l.InboundMemory)
	}
	c.warnTimes(&w)
	w.add(l.AcceptRate > 0 && float64(l.AcceptBurst) > 10*l.AcceptRate, "limits.accept_burst: %d come in at once before accept_rate, %v a second, is felt", l.AcceptBurst, l.AcceptRate)
	w.add(len(c.Redis.Relays) > 0 && c.Redis.URL == "", "redis.relay: nothing is relayed while redis.url is empty")
	c.warnResume(&w)
	embedded := c.Redis.URL == redisurl.Embedded
	w.add(embedded && slices.ContainsFunc(c.Routes, func(route *Route) bool { return route.Once > 0 }), "route.once: the embedded Redis forgets the ids of messages when the process ends: in production a message sent again would run again")
	w.add(embedded && !loopback(c.Redis.Listen), "redis.listen: %q is reachable from other machines, and the embedded server has no password", c.Redis.Listen)
	return w
}

// warnResume looks at routes to which clients come back.
func (c *Config) warnResume(w *warnings) {
	keep := c.Durable.Keep
	for i, route := range c.Routes {
		key := indexed("route", i+1)
		w.add(route.Resume && keep == 0, "%s.resume has no effect: durable.keep is 0s, and there is no log", key)
		w.add(route.Resume && keep > 0 && route.ResumeAge > keep, "%s.resume_age: %v is more than durable.keep, %v: a client that was away for longer than that gets a gap", key, route.ResumeAge, keep)
	}
}

func (c *Config) warnListeners(w *warnings) {
	onUnix := strings.HasPrefix(c.Admin, "unix:")
	for _, address := range c.Listen {
		isUnix := strings.HasPrefix(address, "unix:")
		onUnix = onUnix || isUnix
		w.add(!isUnix && address != Systemd && !loopback(address), "listen: %q is reachable from other machines, and there is no TLS here: put nginx in front and listen on 127.0.0.1 or a unix socket", address)
	}
	w.add(c.ListenGroup != "" && !onUnix, "listen_group has no effect: no listener is a unix socket")
	w.add(c.AdminToken != "" && len(c.AdminToken) < minToken, "admin_token has %d characters, which can be guessed: take what `openssl rand -hex 16` prints", len(c.AdminToken))
	w.add(c.Admin == "" && c.AdminToken != "", "admin_token has no effect: admin is off")
	w.add(c.Admin == "" && c.AdminToken == "" && len(c.AdminHosts) > 0, "admin_hosts has no effect: admin is off")
	w.add(c.Admin != "" && c.AdminToken != "" && !strings.HasPrefix(c.Admin, "unix:") && !loopback(c.Admin), "admin: %q is reachable from other machines: /live, /ready and /metrics are open to all of them", c.Admin)
	for _, p := range c.trusted.Prefixes {
		w.add(p.Bits() == 0, "trusted_proxies: %v trusts every peer: any client can claim any address", p)
	}
}

func (c *Config) warnPool(w *warnings, name string, pool *FPM) {
	key := dotted("fpm", name)
	w.add(pool.MaxConnections >= debianWorkers && strings.HasPrefix(pool.Addr, "/run/php/php"),
		"%s.max_connections: %d may be every worker of this pool (Debian's stock pool has %d), which stops the web site that uses it too: compare with wsfpm check --fpm-pool, or give wsfpm a pool of its own",
		key, pool.MaxConnections, debianWorkers)
	w.add(pool.MaxIdle > 0 && pool.IdleTimeout == 0, `%s.max_idle has no effect: idle_timeout = "0" closes a connection after each event`, key)
	if pool.Network == "tcp" && !loopback(pool.Addr) {
		host, _, err := net.SplitHostPort(pool.Addr)
		w.add(err == nil, "%s.address: FastCGI to %s is neither encrypted nor authenticated: keep it on a network of your own, with listen.allowed_clients in the pool", key, host)
	}
	used := slices.ContainsFunc(c.Routes, func(r *Route) bool { return slices.Contains(r.Pools(), name) })
	w.add(!used, "%s: no route uses this pool", key)
}

// warn looks at one route.
func (route *Route) warn(w *warnings, key string) {
	w.add(route.MessageLimit > phpPostMaxSize, "%s.message_limit: %v is above PHP's post_max_size as shipped (8M): PHP leaves $_POST empty and logs a warning beyond it, so raise post_max_size in the pool", key, route.MessageLimit)
	w.add(route.Script != "" && !strings.HasSuffix(route.Script, ".php"), "%s.script: PHP-FPM refuses files that do not end in .php, unless security.limit_extensions of its pool allows them", key)
	w.add(route.StreamTimeout < route.Timeout, "%s.stream_timeout: %v is less than timeout (%v), the longest silence of a stream", key, route.StreamTimeout, route.Timeout)
	w.add(route.Dev, "%s.dev: clients are sent PHP's error texts: never in production", key)
	w.add(!route.DetectPHPErrors, "%s.detect_php_errors: a script that crashes with status 200 counts as a success, on connect too", key)
	w.add(slices.Contains(route.Origins, "*"), "%s.origins: any web page can connect with its visitor's cookies", key)
	w.add(slices.Contains(route.Origins, "null"), `%s.origins: "null" is the origin of every sandboxed page and local file`, key)
	w.add(slices.Contains(route.Origins, fileOrigin), `%s.origins: "file://" is the origin of every local file in a WebView; desktop browsers send "null" for them`, key)
	w.add(route.Public && slices.Contains(route.Events, EventConnect), "%s.public has no effect: the script is asked on connect", key)
	w.add(route.Accept == AcceptHeader && !slices.Contains(route.Events, EventConnect), "%s.accept has no effect: the script is not asked on connect", key)
	w.add(route.Cache > 0 && !slices.Contains(route.Events, EventMessage), "%s.cache has no effect: the script is not asked for messages", key)
	w.add(route.Cache > 0 && len(route.CacheKey) > 0 && !slices.Contains(route.CacheKey, CacheUser), "%s.cache_key has no %q: users share answers; write [] if they are the same for all clients", key, CacheUser)
	passes := func(name string) bool {
		return slices.ContainsFunc(route.PassHeaders, func(h string) bool { return strings.EqualFold(h, name) })
	}
	w.add(passes("Proxy"), "%s.pass_headers: Proxy becomes HTTP_PROXY, which many HTTP clients in PHP take for their proxy (httpoxy)", key)
	w.add(passes("Accept-Encoding"), "%s.pass_headers: with Accept-Encoding PHP's zlib may compress answers, which are refused then", key)
}

func (c *Config) warnTimes(w *warnings) {
	l, interval := &c.Limits, time.Duration(c.Limits.PingInterval)
	w.add(interval+interval/10 >= nginxReadTimeout, "limits.ping_interval: %v is not below nginx's proxy_read_timeout as shipped (60s), which then cuts idle clients", l.PingInterval)
	w.add(interval == 0, "limits.ping_interval: without pings lost clients stay, and proxies cut idle ones")
	w.add(interval > 0 && l.PongTimeout == 0, "limits.pong_timeout: 0 is no limit: clients that answer no ping stay")
	w.add(interval > 0 && l.PongTimeout > l.PingInterval, "limits.pong_timeout: %v is more than ping_interval (%v): the next ping goes out before the last one is given up", l.PongTimeout, l.PingInterval)
	stop := time.Duration(c.Drain) + afterDrain
	w.add(stop > systemdStopTimeout, "drain: systemd kills after 90s as shipped: set TimeoutStopSec=%d or more", int(stop.Seconds()))
	w.add(l.HandshakeTimeout == 0, "limits.handshake_timeout: without it a client can hold a connection for ever by sending nothing")
}
