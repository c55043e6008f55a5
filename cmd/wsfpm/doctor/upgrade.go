package doctor

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// site is the origin of the site's own pages.
func (v *visit) site() string {
	return strings.Replace(v.url.Scheme, "ws", "http", 1) + "://" + v.url.Host
}

// foreignOrigin is that of a page that no site lists: the name is reserved (RFC 6761, 6.4).
const foreignOrigin = "https://wsfpm-doctor.invalid"

// upgrade sends a handshake as a page of the site would, but for the version.
func upgrade(ctx context.Context, v *visit) finding {
	a, err := v.knock(ctx, v.url, v.site())
	if err == nil && a.status == http.StatusForbidden {
		if other, otherErr := v.knock(ctx, v.url, ""); otherErr == nil && other.passed() {
			v.refused = true
			return ok("the handshake reaches the gateway")
		}
	}
	if err == nil && a.passed() {
		return ok("the handshake reaches the gateway")
	}
	v.stopped = "no handshake reaches the gateway"
	if err != nil {
		return fault("silent", "no answer: %v", err)
	}
	return refused(v, a)
}

// refused explains an answer that is not the gateway's to a version which it does not speak.
func refused(v *visit, a *answer) finding {
	status := http.StatusText(a.status)
	switch {
	case a.status == http.StatusSwitchingProtocols:
		return fault("", "101: another WebSocket server answers, which accepts any version: look where the proxy sends %s", v.url.Path)
	case a.status >= 300 && a.status < 400:
		return fault("redirect", "%d: redirected to %s, where no browser follows a handshake", a.status, a.header.Get("Location"))
	case a.status < 300:
		return fault("location", "%d: a page answers, so the proxy does not pass %s on to wsfpm", a.status, v.url.Path)
	case a.status == http.StatusUpgradeRequired && strings.HasPrefix(a.body, "a proxy has not passed"):
		return fault("upgrade", "426: the handshake arrives without its upgrade: %s", missing(a.body))
	case a.status == http.StatusNotFound && a.gateway():
		return fault("route", "404: wsfpm has no route for the path and host as they arrive")
	case a.status == http.StatusServiceUnavailable && a.gateway():
		return fault("full", "503: wsfpm takes no more clients, or stops")
	}
	s, known := statuses[a.status]
	if !known {
		s.text = "the gateway does not answer so: the proxy refuses the handshake, or another server answers"
	}
	return fault(s.problem, "%d %s: %s", a.status, status, s.text)
}

// missing returns what wsfpm misses in a handshake, from its answer, which names nginx's
// directives.
func missing(body string) string {
	var names []string
	for _, each := range []struct{ line, name string }{
		{"proxy_http_version", "HTTP/1.1"}, {"proxy_set_header Upgrade", "Upgrade"}, {"proxy_set_header Connection", "Connection"},
	} {
		if strings.Contains(body, each.line) {
			names = append(names, each.name)
		}
	}
	return strings.Join(names, ", ") + " is missing"
}

// statuses are the answers that proxies give themselves, or that show what they left out.
var statuses = map[int]struct{ problem, text string }{
	http.StatusBadRequest:              {"headers", "the proxy has changed the handshake's headers, or the port is one of TLS"},
	http.StatusUnauthorized:            {"access", "the proxy wants a password for this path"},
	http.StatusForbidden:               {"access", "the proxy does not allow this path"},
	http.StatusNotFound:                {"location", "the proxy does not pass the path on to wsfpm"},
	http.StatusMethodNotAllowed:        {"location", "the proxy does not pass the path on to wsfpm"},
	http.StatusUpgradeRequired:         {"upgrade", "the handshake arrives without its upgrade"},
	http.StatusTooManyRequests:         {"limit", "a limit of the proxy or of wsfpm is reached"},
	http.StatusHTTPVersionNotSupported: {"version", "the proxy speaks HTTP/1.0 to wsfpm"},
	http.StatusInternalServerError:     {"log", "the proxy has failed: its error log has the reason"},
	http.StatusBadGateway:              {"backend", "the proxy cannot reach wsfpm: it does not run, listens elsewhere, or its socket is shut for the proxy's user"},
	http.StatusServiceUnavailable:      {"backend", "the proxy cannot reach wsfpm, or its own limit is reached"},
	http.StatusGatewayTimeout:          {"backend", "wsfpm does not answer the proxy in time, or packets to it are dropped"},
}

// origin looks which pages are let in: those of the site, and no others.
func origin(ctx context.Context, v *visit) finding {
	if v.refused && v.mirror == nil {
		return fault("host", "wsfpm refuses pages of %s: the Host that arrives is another, or the route's origins leave this one out", v.site())
	}
	if v.refused && !v.named() {
		return notRun("wsfpm refuses pages of %s while the host is wrong", v.site())
	}
	if v.refused {
		return fault("origins", "wsfpm refuses pages of %s: the route's origins leave it out", v.site())
	}
	a, err := v.knock(ctx, v.url, foreignOrigin)
	switch {
	case err != nil:
		return notRun("%v", err)
	case a.passed():
		v.anyPage = true
		return warning("any", "pages of every site are let in, with the cookies of their visitors: origins has \"*\"")
	case a.status != http.StatusForbidden:
		return notRun("a foreign page gets %d", a.status)
	}
	return ok("pages of %s are let in, foreign ones are not", v.site())
}

// withoutTLS is a page's origin at the same host over http.
func (v *visit) withoutTLS() string {
	return (&url.URL{Scheme: "http", Host: v.url.Host}).String()
}

// scheme looks whether PHP is told of TLS.
func scheme(ctx context.Context, v *visit) finding {
	switch {
	case v.mirror != nil:
		return schemeTold(v)
	case !v.secure() || v.refused || v.anyPage:
		return notRun("only a self-test shows it here")
	}
	a, err := v.knock(ctx, v.url, v.withoutTLS())
	switch {
	case err != nil:
		return notRun("%v", err)
	case a.passed():
		return warning("scheme", "pages of http:// are let in: wsfpm and PHP are not told of TLS, or the route's origins have %s", v.withoutTLS())
	case a.status != http.StatusForbidden:
		return notRun("a page without TLS gets %d", a.status)
	}
	return ok("pages of http:// are refused")
}

// schemeTold compares the scheme with what PHP is told.
func schemeTold(v *visit) finding {
	told := v.mirror.Params["REQUEST_SCHEME"]
	want := map[bool]string{true: "https", false: "http"}[v.secure()]
	if told != want {
		return fault(v.trusts("scheme"), "PHP is told %s, and the client came by %s", told, want)
	}
	return ok("PHP is told %s", told)
}

// trusts returns the problem, or that wsfpm ignores the proxy's headers.
func (v *visit) trusts(problem string) string {
	if !v.mirror.Trusted {
		return "trust"
	}
	return problem
}
