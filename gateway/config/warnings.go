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

// Warnings returns settings that are valid but often a mistake, one sentence each. It
// examines the configuration only, not the machine. Call it after [Config.Check].
func (c *Config) Warnings() []string {
	w := slices.Clone(c.notes)
	w = append(w, c.warnListeners()...)
	for _, name := range slices.Sorted(maps.Keys(c.FPM)) {
		w = append(w, c.warnPool(name, c.FPM[name])...)
	}
	for i, route := range c.Routes {
		w = append(w, route.warnings(indexed("route", i+1))...)
		if memory := c.Limits.OutboundMemory; memory > 0 && route.AnswerLimit > memory {
			w = append(w, fmt.Sprintf("%s.answer_limit: %v is more than limits.outbound_memory, %v: a client that does not take an answer of that size at once is closed with 4408", indexed("route", i+1), route.AnswerLimit, memory))
		}
		if memory := c.Limits.InboundMemory; memory > 0 && route.MessageLimit > memory {
			w = append(w, fmt.Sprintf("%s.message_limit: %v is more than limits.inbound_memory, %v: a message of that size cannot be received", indexed("route", i+1), route.MessageLimit, memory))
		}
	}
	w = append(w, c.warnTimes()...)
	if l := &c.Limits; l.AcceptRate > 0 && float64(l.AcceptBurst) > 10*l.AcceptRate {
		w = append(w, fmt.Sprintf("limits.accept_burst: %d come in at once before accept_rate, %v a second, is felt", l.AcceptBurst, l.AcceptRate))
	}
	if len(c.Redis.Relays) > 0 && c.Redis.URL == "" {
		w = append(w, "redis.relay: nothing is relayed while redis.url is empty")
	}
	w = append(w, c.warnResume()...)
	if c.Redis.URL == redisurl.Embedded && slices.ContainsFunc(c.Routes, func(route *Route) bool { return route.Once > 0 }) {
		w = append(w, "route.once: the embedded Redis forgets the ids of messages when the process ends: in production a message sent again would run again")
	}
	if c.Redis.URL == redisurl.Embedded && !loopback(c.Redis.Listen) {
		w = append(w, fmt.Sprintf("redis.listen: %q is reachable from other machines, and the embedded server has no password", c.Redis.Listen))
	}
	return w
}

// warnResume looks at routes to which clients come back.
func (c *Config) warnResume() (w []string) {
	for i, route := range c.Routes {
		switch key := indexed("route", i+1); {
		case !route.Resume:
		case c.Durable.Keep == 0:
			w = append(w, key+".resume has no effect: durable.keep is 0s, and there is no log")
		case route.ResumeAge > c.Durable.Keep:
			w = append(w, fmt.Sprintf("%s.resume_age: %v is more than durable.keep, %v: a client that was away for longer than that gets a gap", key, route.ResumeAge, c.Durable.Keep))
		}
	}
	return w
}

func (c *Config) warnListeners() []string {
	var w []string
	unix := strings.HasPrefix(c.Admin, "unix:")
	for _, address := range c.Listen {
		if strings.HasPrefix(address, "unix:") {
			unix = true
			continue
		}
		if address != Systemd && !loopback(address) {
			w = append(w, fmt.Sprintf("listen: %q is reachable from other machines, and there is no TLS here: put nginx in front and listen on 127.0.0.1 or a unix socket", address))
		}
	}
	if c.ListenGroup != "" && !unix {
		w = append(w, "listen_group has no effect: no listener is a unix socket")
	}
	if c.AdminToken != "" && len(c.AdminToken) < minToken {
		w = append(w, fmt.Sprintf("admin_token has %d characters, which can be guessed: take what `openssl rand -hex 16` prints", len(c.AdminToken)))
	}
	switch {
	case c.Admin == "" && c.AdminToken != "":
		w = append(w, "admin_token has no effect: admin is off")
	case c.Admin == "" && len(c.AdminHosts) > 0:
		w = append(w, "admin_hosts has no effect: admin is off")
	case c.Admin == "":
	case c.AdminToken != "" && !strings.HasPrefix(c.Admin, "unix:") && !loopback(c.Admin):
		w = append(w, fmt.Sprintf("admin: %q is reachable from other machines: /live, /ready and /metrics are open to all of them", c.Admin))
	}
	for _, p := range c.trusted.Prefixes {
		if p.Bits() == 0 {
			w = append(w, fmt.Sprintf("trusted_proxies: %v trusts every peer: any client can claim any address", p))
		}
	}
	return w
}

func (c *Config) warnPool(name string, pool *FPM) []string {
	var w []string
	key := dotted("fpm", name)
	if pool.MaxConnections >= debianWorkers && strings.HasPrefix(pool.Addr, "/run/php/php") {
		w = append(w, fmt.Sprintf("%s.max_connections: %d may be every worker of this pool (Debian's stock pool has %d), which stops the web site that uses it too: compare with wsfpm check --fpm-pool, or give wsfpm a pool of its own",
			key, pool.MaxConnections, debianWorkers))
	}
	if pool.MaxIdle > 0 && pool.IdleTimeout == 0 {
		w = append(w, key+`.max_idle has no effect: idle_timeout = "0" closes a connection after each event`)
	}
	if pool.Network == "tcp" && !loopback(pool.Addr) {
		if host, _, err := net.SplitHostPort(pool.Addr); err == nil {
			w = append(w, fmt.Sprintf("%s.address: FastCGI to %s is neither encrypted nor authenticated: keep it on a network of your own, with listen.allowed_clients in the pool", key, host))
		}
	}
	used := slices.ContainsFunc(c.Routes, func(r *Route) bool { return slices.Contains(r.Pools(), name) })
	if !used {
		w = append(w, key+": no route uses this pool")
	}
	return w
}

// warnings returns the warnings about one route.
func (route *Route) warnings(key string) []string {
	var w []string
	add := func(condition bool, format string, args ...any) {
		if condition {
			w = append(w, fmt.Sprintf(format, args...))
		}
	}
	add(route.MessageLimit > phpPostMaxSize, "%s.message_limit: %v is above PHP's post_max_size as shipped (8M): PHP leaves $_POST empty and logs a warning beyond it, so raise post_max_size in the pool", key, route.MessageLimit)
	add(route.Script != "" && !strings.HasSuffix(route.Script, ".php"), "%s.script: PHP-FPM refuses files that do not end in .php, unless security.limit_extensions of its pool allows them", key)
	add(route.StreamTimeout < route.Timeout, "%s.stream_timeout: %v is less than timeout (%v), the longest silence of a stream", key, route.StreamTimeout, route.Timeout)
	add(route.Dev, "%s.dev: clients are sent PHP's error texts: never in production", key)
	add(!route.DetectPHPErrors, "%s.detect_php_errors: a script that crashes with status 200 counts as a success, on connect too", key)
	add(slices.Contains(route.Origins, "*"), "%s.origins: any web page can connect with its visitor's cookies", key)
	add(slices.Contains(route.Origins, "null"), `%s.origins: "null" is the origin of every sandboxed page and local file`, key)
	add(slices.Contains(route.Origins, fileOrigin), `%s.origins: "file://" is the origin of every local file in a WebView; desktop browsers send "null" for them`, key)
	add(route.Public && slices.Contains(route.Events, EventConnect), "%s.public has no effect: the script is asked on connect", key)
	add(route.Accept == AcceptHeader && !slices.Contains(route.Events, EventConnect), "%s.accept has no effect: the script is not asked on connect", key)
	add(route.Cache > 0 && !slices.Contains(route.Events, EventMessage), "%s.cache has no effect: the script is not asked for messages", key)
	add(route.Cache > 0 && len(route.CacheKey) > 0 && !slices.Contains(route.CacheKey, CacheUser), "%s.cache_key has no %q: users share answers; write [] if they are the same for all clients", key, CacheUser)
	passes := func(name string) bool {
		return slices.ContainsFunc(route.PassHeaders, func(h string) bool { return strings.EqualFold(h, name) })
	}
	add(passes("Proxy"), "%s.pass_headers: Proxy becomes HTTP_PROXY, which many HTTP clients in PHP take for their proxy (httpoxy)", key)
	add(passes("Accept-Encoding"), "%s.pass_headers: with Accept-Encoding PHP's zlib may compress answers, which are refused then", key)
	return w
}

func (c *Config) warnTimes() []string {
	var w []string
	interval := time.Duration(c.Limits.PingInterval)
	if interval+interval/10 >= nginxReadTimeout {
		w = append(w, fmt.Sprintf("limits.ping_interval: %v is not below nginx's proxy_read_timeout as shipped (60s), which then cuts idle clients", c.Limits.PingInterval))
	}
	if interval == 0 {
		w = append(w, "limits.ping_interval: without pings lost clients stay, and proxies cut idle ones")
	}
	if interval > 0 && c.Limits.PongTimeout == 0 {
		w = append(w, "limits.pong_timeout: 0 is no limit: clients that answer no ping stay")
	}
	if interval > 0 && time.Duration(c.Limits.PongTimeout) > interval {
		w = append(w, fmt.Sprintf("limits.pong_timeout: %v is more than ping_interval (%v): the next ping goes out before the last one is given up", c.Limits.PongTimeout, c.Limits.PingInterval))
	}
	if stop := time.Duration(c.Drain) + afterDrain; stop > systemdStopTimeout {
		w = append(w, fmt.Sprintf("drain: systemd kills after 90s as shipped: set TimeoutStopSec=%d or more", int(stop.Seconds())))
	}
	if c.Limits.HandshakeTimeout == 0 {
		w = append(w, "limits.handshake_timeout: without it a client can hold a connection for ever by sending nothing")
	}
	return w
}
