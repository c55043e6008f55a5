package config

import (
	"net/netip"
	"slices"
)

// Config is the complete configuration. [Load] and [Config.Check] set defaults and parse
// addresses. It is not modified afterwards and may be shared.
type Config struct {
	// Node names this process in connection ids, metrics and WS_NODE: 1 to 64
	// letters, digits, dots, hyphens and underscores. Default: the host name.
	// A change needs a restart.
	Node string `toml:"node"`

	// Listen holds the addresses for clients: "host:port", "unix:/path", or
	// "systemd" for the sockets that systemd passes on (LISTEN_FDS). In the
	// file it is a string or a list of them. Default: "127.0.0.1:8080". There
	// is no TLS here: nginx ends it. A change needs a restart.
	Listen []string `toml:"listen" scalar:"yes"`

	// ListenMode is the mode of the unix sockets in [Config.Listen] and
	// [Config.Admin], in octal. Default: "0660". nginx's user needs write
	// permission, so usually its group owns the socket ([Config.ListenGroup]).
	ListenMode Mode `toml:"listen_mode"`

	// ListenGroup is the group, by name or number, that owns those sockets.
	// Default: the process's own.
	ListenGroup string `toml:"listen_group"`

	// Admin is the address of the operators' listener: "unix:/path" or
	// "host:port". Default: "", off. It must never be reachable for clients.
	// A change needs a restart.
	Admin string `toml:"admin"`

	// AdminToken opens every path of the admin listener (Authorization:
	// Bearer …); visible ASCII characters. Without it only /live, /ready and
	// /metrics are open on TCP, and no path to browsers. A unix socket
	// needs none, from other programs. Give it by WSFPM_ADMIN_TOKEN rather than
	// by a file that many can read.
	AdminToken string `toml:"admin_token"`

	// AdminHosts holds the names under which the admin listener is asked without
	// the token, beside IP addresses, localhost and the name in [Config.Admin]:
	// without it a web page could read the listener by giving its own name the
	// listener's address (DNS rebinding). In the file it is a string or a list.
	// Default: none. A change needs a restart.
	AdminHosts []string `toml:"admin_hosts" scalar:"yes"`

	// Control is a unix socket, "unix:/path", for root and the user of this
	// process: wsfpm record and all else that shows what clients say, or acts
	// on them. Its mode is 0600, and each use of it is logged. Default: "", off.
	// A change needs a restart.
	Control string `toml:"control"`

	// Drain is the time over which clients are closed after SIGTERM. Default:
	// 30s. Running handlers and disconnect events may take some seconds more:
	// whatever stops the process must wait at least drain + 15 s.
	Drain Duration `toml:"drain"`

	// DisconnectRetry is how long a disconnect event that PHP-FPM could not
	// take is tried again, while nothing of it was sent. Default: 60s.
	DisconnectRetry Duration `toml:"disconnect_retry"`

	// TrustedProxies holds the peers whose X-Forwarded-For, X-Forwarded-Proto
	// and Host are trusted: addresses, networks, or "unix" for every peer on a
	// unix socket. Default: 127.0.0.1/32, ::1/128 and unix. A peer in this list
	// can claim any client address.
	TrustedProxies []string `toml:"trusted_proxies"`

	// FPM holds the PHP-FPM pools by name. Default: one, named "default".
	FPM map[string]*FPM `toml:"fpm"`

	// Redis connects this process to other nodes and to programs that push.
	Redis Redis `toml:"redis"`

	// Presence counts who is where, for all nodes. It needs Redis.
	Presence Presence `toml:"presence"`

	// Durable is the log of durable messages.
	Durable Durable `toml:"durable"`

	// Routes map paths to scripts. At least one is needed.
	Routes []*Route `toml:"route"`

	// Limits bounds the resources of clients.
	Limits Limits `toml:"limits"`

	// Log is the level and format of the log.
	Log Log `toml:"log"`

	// Web is a folder whose files and PHP pages are served to requests that
	// are no WebSocket handshake. Only the flag --web sets it: it is for
	// development, because every PHP file below the folder can be run.
	Web string `toml:"-"`

	// WebHosts, the flag --web-host, holds further host names under which
	// browsers may ask for anything while Web is set: see [Config.ServesHost].
	WebHosts []string `toml:"-"`

	trusted Trusted           // TrustedProxies, parsed by Check
	origin  map[string]string // where a key was set: "line 12", "WSFPM_NODE", "--listen"
	notes   []string          // warnings of the loader

	noRoutes bool // Source.NoRoutes
}

// Trusted is the set of peers whose forwarded headers are trusted.
type Trusted struct {
	// Prefixes holds the networks of trusted TCP peers, masked.
	Prefixes []netip.Prefix
	// Unix is set when every peer on a unix socket is trusted.
	Unix bool
}

// Trusted returns TrustedProxies, parsed. It is empty before [Config.Check].
func (c *Config) Trusted() Trusted { return c.trusted }

// Contains reports whether the TCP peer at addr is trusted. IPv4 addresses in
// IPv6 form count as IPv4.
func (t Trusted) Contains(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, p := range t.Prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// FPM is one PHP-FPM pool. Everything here is read again on SIGHUP.
type FPM struct {
	// Name is the pool's name, the key in [Config.FPM].
	Name string `toml:"-"`

	// Address is the pool's "listen": "unix:/path" or "tcp:host:port". Each
	// address may be named once. Default, for the pool "default" only:
	// "unix:/run/php/php8.2-fpm.sock".
	Address string `toml:"address"`

	// Network and Addr are Address for net.Dial; [Config.Check] sets them.
	Network string `toml:"-"`
	Addr    string `toml:"-"`

	// MaxConnections is the number of PHP workers that this process may use at
	// once. Default: 3. The sum over all gateways must stay below
	// pm.max_children of a pool that a web site uses too: Debian's stock pool
	// has 5 workers, and taking all of them stops the site. With a pool of its
	// own: pm.max_children.
	MaxConnections int `toml:"max_connections"`

	// MaxIdle is the number of connections kept open between events. Each one
	// occupies a PHP worker. Default: 1. With a pool of its own: as
	// MaxConnections.
	MaxIdle int `toml:"max_idle"`

	// IdleTimeout is how long an unused connection is kept. Default: 2s.
	// 0: a connection per event. FPM's request_terminate_timeout counts this
	// time too.
	IdleTimeout Duration `toml:"idle_timeout"`

	// QueueWait is how long an event may wait for a free connection. Default:
	// 10s. 0: not at all.
	QueueWait Duration `toml:"queue_wait"`

	// DialTimeout bounds the connect to PHP-FPM. Default: 1s.
	DialTimeout Duration `toml:"dial_timeout"`

	// PoolShare is the part of MaxConnections that the events of one user may
	// take while others wait. Default: "50 %", also written 0.5.
	PoolShare Fraction `toml:"pool_share"`

	// MaxStreams is the number of streamed answers that may run at once.
	// Default, also for 0: half of MaxConnections, at least 1.
	MaxStreams int `toml:"max_streams"`
}

// Redis configures the connection to other nodes and to programs that push. A change
// needs a restart.
type Redis struct {
	// URL is the server: redis://, rediss:// (TLS) or unix://. Default: "", no
	// Redis: a single process. "embedded" opens a Redis-compatible server
	// in this process, for development. redis://h1:6379,h2:6379/?cluster=true
	// is a Cluster; redis://s1:26379,s2:26379/?master_name=main is the master
	// that Sentinels watch. With rediss://, ?cacert=/file names a private CA, and
	// ?cert=/file&key=/file the gateway's own certificate. With a password in it,
	// give it by WSFPM_REDIS_URL.
	URL string `toml:"url"`

	// Listen is the address of the embedded server. Default: "127.0.0.1:6379".
	// It has no password.
	Listen string `toml:"listen"`

	// Prefix precedes every name in Redis; in the file it is a string or a list.
	// wsfpm subscribes under all and publishes under the first. Default: "ws:". Each
	// application and environment needs its own: a database number does not
	// separate pub/sub.
	Prefix []string `toml:"prefix" scalar:"yes"`

	// Confirm is how long a reply waits for Redis to confirm the subscriptions
	// and the publish that belong to it. Default: 1s.
	Confirm Duration `toml:"confirm"`

	// PushLimit is the longest payload that is taken from Redis. Default: 1MiB.
	// Longer ones are dropped, logged and counted.
	PushLimit Size `toml:"push_limit"`

	// Relays forward an application's existing Redis messages to clients.
	Relays []Relay `toml:"relay"`
}

// Relay forwards the messages of a set of Redis channels to clients.
type Relay struct {
	// Pattern names Redis channels, with exactly one "*" for the part that
	// differs. It may not match the first of redis.prefix; what it matches under a
	// further one is not relayed.
	Pattern string `toml:"pattern"`
	// To is the address of the clients; {name} in it is what "*" matched.
	To string `toml:"to"`
	// Format is "laravel" for what Laravel's redis broadcaster publishes: clients get
	// {"event": …, "channel": …, "data": …}, but for the connection in "socket". Default:
	// "", the payload as it is.
	Format string `toml:"format"`
}

// RelayLaravel is the value of [Relay.Format] for Laravel's redis broadcaster.
const RelayLaravel = "laravel"

// The values of [Durable.Tag].
const (
	TagAuto = "auto" // the replication id of Redis
	TagNone = "none" // not asked for
)

// Presence configures whose presence is kept in Redis. While it is on, every connection
// has a record there, see [Route.Registry].
type Presence struct {
	// Channels holds the channels whose members are kept: names, in which "*" stands for
	// any text, such as "room-*". Default: none.
	Channels []string `toml:"channels"`
	// Users keeps the connections of every user. Default: false.
	Users bool `toml:"users"`
}

// On reports whether any presence is kept.
func (p Presence) On() bool { return p.Users || len(p.Channels) > 0 }

// NeedsRegistry reports whether anything is configured for which nodes must know of each
// other's connections or deaths.
func (c *Config) NeedsRegistry() bool {
	return c.Presence.On() || slices.ContainsFunc(c.Routes, func(r *Route) bool { return r.Registry || r.Once > 0 })
}

// Durable configures the log of durable messages: a stream of Redis, or the memory of the
// process without Redis. A change of all but Replay needs a restart.
type Durable struct {
	// Keep is how long a message of the log can be resumed, by the newest message's own
	// time. Default: 1h. 0 shuts the log: what is durable fails.
	Keep Duration `toml:"keep"`

	// Memory bounds the messages of the log that this process holds, with their overhead.
	// Default: 64MiB. The stream in Redis is trimmed to the smallest of all processes.
	Memory Size `toml:"memory"`

	// Stream is the key of the log in Redis, in the database of redis.url. Default: the
	// first prefix and "log".
	Stream string `toml:"stream"`

	// Tag is "auto": positions carry the beginning of Redis' replication id, so that a
	// failover or restart that loses messages is noticed; or "none", for proxies whose
	// connections lead to servers that show different ones. Default: auto.
	Tag string `toml:"tag"`

	// Replay is the maximum number of missed messages that a client gets when it comes
	// back; more are a gap. Default: 1000.
	Replay int `toml:"replay"`
}

// Log configures the log.
type Log struct {
	// Level is debug, info, warn or error. Default: info. SIGHUP changes it.
	Level string `toml:"level"`
	// Format is json, console, or auto: console on a terminal, JSON otherwise.
	// Default: auto.
	Format string `toml:"format"`

	// Access writes a line of JSON for each event to standard output, with what GET
	// /events shows: user, address, script, times and sizes, no content of messages.
	// Default: false. A change needs a restart.
	Access bool `toml:"access"`
}
