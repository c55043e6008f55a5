package config

import (
	"maps"
	"net"
	"net/netip"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxNode is the longest name of a node, in bytes.
const maxNode = 64

// Systemd in [Config.Listen] stands for the sockets that systemd passes on.
const Systemd = "systemd"

// Check validates the configuration and sets derived fields: parsed addresses, document
// roots, a route's pool, MaxStreams. [Load] calls it. The error is an [*Error] with
// every problem.
func (c *Config) Check() error {
	r := &report{origin: c.origin}
	c.check(r)
	return r.err("")
}

// check collects the problems for Check.
func (c *Config) check(r *report) {
	r.refused = len(r.problems)
	c.checkNode(r)
	c.checkListen(r)
	c.checkAdmin(r)
	c.checkControl(r)
	c.checkTrusted(r)
	c.checkPools(r)
	c.checkRedis(r)
	c.checkDurable(r)
	c.checkRegistry(r)
	c.checkRoutes(r)
	r.hosts("--web-host", c.WebHosts)
	c.checkLimits(r)
	r.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	r.oneOf("log.format", c.Log.Format, "auto", "console", "json")
}

// oneOf reports a word that is not among the known ones.
func (r *report) oneOf(key, word string, known ...string) {
	if !slices.Contains(known, word) {
		r.bad(key, "%q is unknown: write one of %s", clip(word), strings.Join(known, ", "))
	}
}

// positive reports a size or a time of 0.
func (r *report) positive(key string, value int64, want string) {
	if value <= 0 {
		r.bad(key, "0: write %s", want)
	}
}

func (c *Config) checkNode(r *report) {
	for i := range len(c.Node) {
		if !nodeByte(c.Node[i]) {
			r.bad("node", "%q has %q in it: write letters, digits, dots, hyphens and underscores", clip(c.Node), c.Node[i])
			return
		}
	}
	if len(c.Node) == 0 || len(c.Node) > maxNode {
		r.bad("node", "has %d bytes: write 1 to %d", len(c.Node), maxNode)
	}
}

// nodeByte reports whether a byte may stand in a node's name, or a host's.
func nodeByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' ||
		b == '.' || b == '-' || b == '_'
}

func (c *Config) checkListen(r *report) {
	if len(c.Listen) == 0 {
		r.bad("listen", `is empty: write an address, such as "127.0.0.1:8080" or "unix:/run/wsfpm/ws.sock"`)
	}
	seen := map[string]bool{}
	for i, address := range c.Listen {
		key := "listen"
		if len(c.Listen) > 1 {
			key = indexed(key, i+1)
		}
		if seen[address] {
			r.bad(key, "%q is there twice", clip(address))
		}
		seen[address] = true
		if address != Systemd {
			r.listenAddress(key, address)
		}
	}
	if strings.ContainsAny(c.ListenGroup, ": \t\n\x00") {
		r.bad("listen_group", "%q is not the name of a group", clip(c.ListenGroup))
	}
}

// listenAddress reports an address that is neither "host:port" nor "unix:/path".
func (r *report) listenAddress(key, address string) {
	if file, ok := strings.CutPrefix(address, "unix:"); ok {
		r.socketPath(key, file)
		return
	}
	if strings.HasPrefix(address, "/") {
		r.bad(key, `%q is a path: write "unix:%s"`, clip(address), clip(address))
		return
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(address, "tcp:"))
	if err != nil || strings.HasPrefix(address, "tcp:") {
		r.bad(key, `%q is not an address: write "127.0.0.1:8080", ":8080" or "unix:/path"`, clip(address))
		return
	}
	r.port(key, port)
}

// maxSocketPath is the longest accepted path of a unix socket, in bytes. Linux has room
// for 107; the rest is for the temporary name of a new socket beside the old one.
const maxSocketPath = 99

func (r *report) socketPath(key, file string) {
	switch {
	case !filepath.IsAbs(file):
		r.bad(key, `"unix:%s" is not absolute: write "unix:/path/of/the.sock"`, clip(file))
	case len(file) > maxSocketPath:
		r.bad(key, "the path has %d bytes, a unix socket's may have %d here: choose a shorter folder", len(file), maxSocketPath)
	case strings.ContainsRune(file, 0):
		r.bad(key, "the path has a NUL byte")
	}
}

// port reports an invalid port; 0 lets the system choose.
func (r *report) port(key, port string) {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		r.bad(key, "port %q: write a number from 1 to 65535", clip(port))
	} else if n == 0 && !strings.HasPrefix(key, "listen") && key != "admin" && key != "redis.listen" {
		r.bad(key, "port 0: write a number from 1 to 65535")
	}
}

func (c *Config) checkAdmin(r *report) {
	if c.AdminToken != "" {
		r.token(c.AdminToken)
	}
	r.hosts("admin_hosts", c.AdminHosts)
	if c.Admin == "" {
		return
	}
	r.listenAddress("admin", c.Admin)
	if slices.Contains(c.Listen, c.Admin) && !strings.HasSuffix(c.Admin, ":0") {
		r.bad("admin", "%q is a listen address too: clients must not reach the admin listener", clip(c.Admin))
	}
	if !strings.HasPrefix(c.Admin, "unix:") && !loopback(c.Admin) && c.AdminToken == "" {
		r.bad("admin", "%q is reachable from other machines: set admin_token, or write 127.0.0.1 or a unix socket", clip(c.Admin))
	}
}

func (c *Config) checkControl(r *report) {
	switch {
	case c.Control == "":
	case !strings.HasPrefix(c.Control, "unix:"):
		r.bad("control", `%q is no unix socket: write "unix:/path/of/the.sock"`, clip(c.Control))
	case c.Control == c.Admin || slices.Contains(c.Listen, c.Control):
		r.bad("control", "%q is the address of another listener too: choose a socket of its own", clip(c.Control))
	default:
		r.listenAddress("control", c.Control)
	}
}

func (r *report) token(token string) {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			r.bad("admin_token", "has a byte that no header can carry: write visible ASCII characters without spaces")
			return
		}
	}
}

// loopback reports whether an address can be reached from this machine only.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func (c *Config) checkTrusted(r *report) {
	c.trusted = Trusted{}
	for i, peer := range c.TrustedProxies {
		if peer == "unix" {
			c.trusted.Unix = true
			continue
		}
		prefix, err := netip.ParsePrefix(peer)
		if err != nil {
			var ip netip.Addr
			if ip, err = netip.ParseAddr(peer); err == nil {
				ip = ip.WithZone("")
				prefix = netip.PrefixFrom(ip, ip.BitLen())
			}
		}
		if err != nil {
			r.bad(indexed("trusted_proxies", i+1), `%q is not a network: write "10.0.0.0/8", "192.0.2.7" or "unix"`, clip(peer))
			continue
		}
		c.trusted.Prefixes = append(c.trusted.Prefixes, unmapped(prefix).Masked())
	}
}

// unmapped is an IPv4 network that was written in IPv6 form, as IPv4.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

func (c *Config) checkPools(r *report) {
	seen, own := map[string]string{}, c.ownSockets()
	for _, name := range slices.Sorted(maps.Keys(c.FPM)) {
		key, pool := dotted("fpm", name), c.FPM[name]
		pool.Name = name
		if !poolName(name) {
			r.bad(key, "%q is not a pool's name: write letters, digits, hyphens and underscores", clip(name))
		}
		pool.checkAddress(r, key)
		pool.checkNumbers(r, key)
		if pool.Addr == "" {
			continue
		}
		at := pool.Network + " " + pool.Addr
		if pool.Network == "unix" {
			at = RealSocket(pool.Addr)
		}
		if listener := own[at]; listener != "" {
			r.bad(key+".address", "%s is the address of %s too, and the socket of PHP-FPM would be replaced: choose another for %[2]s", pool.Address, listener)
		}
		if other := seen[at]; other != "" {
			r.bad(key+".address", "%s is the address of the pool %s too: use one of the two", pool.Address, other)
		}
		seen[at] = name
	}
}

// ownSockets returns the keys of the unix sockets on which this process listens, by their real paths.
func (c *Config) ownSockets() map[string]string {
	own := make(map[string]string)
	add := func(key, address string) {
		if file, isUnix := strings.CutPrefix(address, "unix:"); isUnix {
			own[RealSocket(file)] = key
		}
	}
	for _, address := range c.Listen {
		add("listen", address)
	}
	add("admin", c.Admin)
	add("control", c.Control)
	return own
}

// RealSocket returns the path of a unix socket without symbolic links, as far as they
// can be resolved: /var/run/x.sock is /run/x.sock on most systems, even if there is no
// such socket.
func RealSocket(file string) string {
	if real, err := filepath.EvalSymlinks(file); err == nil {
		return real
	}
	if folder, err := filepath.EvalSymlinks(filepath.Dir(file)); err == nil {
		return filepath.Join(folder, filepath.Base(file))
	}
	return file
}

func poolName(name string) bool {
	for i := range len(name) {
		if !nodeByte(name[i]) || name[i] == '.' {
			return false
		}
	}
	return name != "" && len(name) <= maxNode
}

// checkAddress parses the pool's address.
func (p *FPM) checkAddress(r *report, key string) {
	key += ".address"
	p.Network, p.Addr = "", ""
	if file, ok := strings.CutPrefix(p.Address, "unix:"); ok {
		before := len(r.problems)
		r.socketPath(key, file)
		if len(r.problems) == before {
			p.Network, p.Addr = "unix", filepath.Clean(file)
		}
		return
	}
	address, isTCP := strings.CutPrefix(p.Address, "tcp:")
	host, port, err := net.SplitHostPort(address)
	switch {
	case p.Address == "":
		r.bad(key, `is missing: write the "listen" of the PHP-FPM pool, as "unix:/run/php/php8.2-fpm.sock" or "tcp:127.0.0.1:9000"`)
	case strings.HasPrefix(p.Address, "/"):
		r.bad(key, `%q is a path: write "unix:%s"`, clip(p.Address), clip(p.Address))
	case err == nil && !isTCP:
		r.bad(key, `%q: write "tcp:%s"`, clip(p.Address), clip(p.Address))
	case err != nil || host == "":
		r.bad(key, `%q is not an address: write "unix:/path" or "tcp:host:port"`, clip(p.Address))
	default:
		before := len(r.problems)
		r.port(key, port)
		if len(r.problems) == before {
			p.Network, p.Addr = "tcp", net.JoinHostPort(strings.ToLower(host), port)
		}
	}
}

// checkNumbers checks the pool's limits and derives MaxStreams.
func (p *FPM) checkNumbers(r *report, key string) {
	if p.MaxConnections < 1 {
		r.bad(key+".max_connections", "%d: write at least 1", p.MaxConnections)
		return
	}
	if p.MaxIdle < 0 || p.MaxIdle > p.MaxConnections {
		r.bad(key+".max_idle", "%d: write 0 to max_connections, which is %d", p.MaxIdle, p.MaxConnections)
	}
	if p.MaxStreams < 0 || p.MaxStreams > p.MaxConnections {
		r.bad(key+".max_streams", "%d: write 1 to max_connections, which is %d, or 0 for half of it", p.MaxStreams, p.MaxConnections)
	}
	if p.MaxStreams == 0 {
		p.MaxStreams = max(1, p.MaxConnections/2)
	}
	if p.PoolShare <= 0 || p.PoolShare > 1 {
		r.bad(key+".pool_share", `%v: write more than 0 and at most 1, such as "50 %%"`, p.PoolShare)
	}
	r.positive(key+".dial_timeout", int64(p.DialTimeout), `a duration, such as "1s"`)
}

// cleanURLPath reports whether a path of a URL is in its shortest form.
func cleanURLPath(p string) bool {
	return path.Clean(p) == strings.TrimSuffix(p, "/") || p == "/"
}
