package config

import (
	"net/netip"
	"slices"
	"strings"
)

// FixedHost reports whether a host, without port, is one that DNS cannot turn:
// any IP address, localhost and its names.
//
// Any other name may be an attacker's, made to lead to this machine after its
// page was loaded (DNS rebinding): the browser takes what is here for that
// page's own.
func FixedHost(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// ServesHost reports whether requests for a host, without port, are answered
// while Web is set: those of [FixedHost], and names that the configuration knows
// by WebHosts or a route's Host.
func (c *Config) ServesHost(host string) bool {
	host = strings.ToLower(host)
	return FixedHost(host) || slices.Contains(c.WebHosts, host) ||
		slices.ContainsFunc(c.Routes, func(r *Route) bool { return slices.Contains(r.Host, host) })
}
