package config

import (
	"net/netip"
	"slices"
	"strings"
)

// ServesHost reports whether requests for a host, without port, are answered
// while Web is set: localhost and its names, any IP address, and names that
// the configuration knows by WebHosts or a route's Host.
//
// Any other name may be an attacker's, made to lead to this machine after its
// page was loaded (DNS rebinding): the browser takes pages and sockets here for
// that page's own. An address cannot be turned so.
func (c *Config) ServesHost(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return slices.Contains(c.WebHosts, host) ||
		slices.ContainsFunc(c.Routes, func(r *Route) bool { return slices.Contains(r.Host, host) })
}
