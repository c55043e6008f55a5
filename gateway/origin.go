package gateway

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"wsfpm/gateway/excerpt"
)

// checkHost refuses requests for a foreign host when pages are served for development, see
// [config.Config.ServesHost]. In production the proxy in front selects the hosts.
func (g *Gateway) checkHost(r *http.Request) *refusal {
	if g.web == nil || g.settings.Load().ServesHost(hostName(r.Host)) {
		return nil
	}
	refused := refuse(http.StatusForbidden, "host",
		"the host %q is not this machine's: use localhost or an address, or name it: wsfpm dev --host %[2]s, wsfpm serve --web-host %[2]s", excerpt.Of(r.Host), excerpt.Of(hostName(r.Host)))
	refused.header = http.Header{"Content-Type": {"text/plain; charset=utf-8"}, "X-Content-Type-Options": {"nosniff"}}
	refused.body = []byte(refused.reason + "\n")
	return refused
}

// checkOrigin refuses cross-site handshakes: a foreign page can make a visitor's browser
// send one with the visitor's cookies (RFC 6455, 10.2). Without an origin list the page
// must come from the same host. A request without Origin is not from a browser and passes,
// unless the route has require_origin.
func checkOrigin(r *http.Request, rt *route, c *client) *refusal {
	origins := r.Header.Values("Origin")
	switch {
	case len(origins) == 0 && !rt.RequireOrigin:
		return nil
	case len(origins) == 0:
		return refuse(http.StatusForbidden, "origin", "no Origin header, and the route has require_origin = true")
	case len(origins) > 1:
		return refuse(http.StatusForbidden, "origin", "several Origin headers")
	}
	origin := origins[0]
	if len(rt.Origins) > 0 {
		if slices.Contains(rt.Origins, "*") || slices.ContainsFunc(rt.Origins, func(s string) bool { return strings.EqualFold(s, origin) }) {
			return nil
		}
		return refuse(http.StatusForbidden, "origin", "origin %q is not among the route's origins", excerpt.Of(origin))
	}
	if sameHost(origin, r.Host, c.secure) {
		return nil
	}
	return refuse(http.StatusForbidden, "origin",
		"origin %q is not the host %q: name it in the route's origins, or, behind nginx, set: proxy_set_header Host $http_host;",
		excerpt.Of(origin), excerpt.Of(r.Host))
}

// sameHost reports whether a page of this origin belongs to the requested host. If the
// request came over TLS, the page must too.
func sameHost(origin, host string, secure bool) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || !strings.EqualFold(origin, u.Scheme+"://"+u.Host) {
		return false // an origin is scheme, host and port only (RFC 6454, 7.1)
	}
	scheme := strings.ToLower(u.Scheme)
	if scheme != "https" && (scheme != "http" || secure) {
		return false
	}
	return strings.EqualFold(withPort(u.Host, scheme), withPort(host, scheme))
}

// withPort adds the scheme's default port to a host without one.
func withPort(host, scheme string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	port := "80"
	if scheme == "https" {
		port = "443"
	}
	if inner, found := strings.CutPrefix(host, "["); found && strings.Contains(inner, ":") {
		host = strings.TrimSuffix(inner, "]") // JoinHostPort puts the brackets of IPv6 back
	}
	return net.JoinHostPort(host, port)
}
