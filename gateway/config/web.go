package config

import (
	"net/netip"
	"slices"
	"strings"
)

// FixedHost reports whether a host, without port, does not depend on DNS: an IP address,
// or localhost and its subdomains. Any other name may be an attacker's that resolves to
// this machine after its page was loaded (DNS rebinding), so that the browser treats the
// answers as those of the page's own origin.
func FixedHost(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// ServesHost reports whether requests for a host, without port, are answered while Web
// is set: those of [FixedHost], and names in WebHosts or in a route's Host.
func (c *Config) ServesHost(host string) bool {
	host = strings.ToLower(host)
	return FixedHost(host) || slices.Contains(c.WebHosts, host) ||
		slices.ContainsFunc(c.Routes, func(r *Route) bool { return slices.Contains(r.Host, host) })
}
