package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"wsfpm/gateway/config"
	"wsfpm/gateway/excerpt"
)

// open are the paths that need no token.
var open = []string{"/live", "/ready", "/metrics"}

// guarded is the access control. The token grants everything. Without it the Host must
// be known, as protection against DNS rebinding, in which a page gives its own name the
// address of this listener to read the answers. Browsers have no access without the
// token or a session of the page, since any page can make them send requests.
func (o Options) guarded(next http.Handler) http.Handler {
	log := o.Logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, 1, 0) // health checks repeat
	}))
	want := sha256.Sum256([]byte(o.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		browser := fromBrowser(r)
		switch {
		case o.Token != "" && bears(r, want):
		case !o.knows(r.Host):
			log.Warn("admin request was refused: its Host is neither an address nor in admin_hosts", zap.String("host", excerpt.Of(r.Host)), zap.String("path", excerpt.Of(r.URL.Path)))
			Problem(w, http.StatusForbidden, "the Host of the request is unknown: ask by an IP address or localhost, put the name into admin_hosts, or send the admin_token")
			return
		case pageFiles[r.URL.Path] != "" || r.URL.Path == "/page/session": // no data; a ticket is asked for
		case o.Sessions != nil && slices.Contains(sessionPaths, r.URL.Path) && o.Sessions.holds(bearer(r)): // the control socket has none
		case !browser && (o.Private || slices.Contains(open, r.URL.Path)):
		case o.Token == "" && browser:
			Problem(w, http.StatusForbidden, "a request with an Origin or Sec-Fetch headers comes from a browser, which needs the admin_token, and none is set")
			return
		case o.Token == "":
			Problem(w, http.StatusForbidden, "this path is disabled on a TCP listener without admin_token")
			return
		default:
			w.Header().Set("WWW-Authenticate", "Bearer")
			Problem(w, http.StatusUnauthorized, "want Authorization: Bearer, and the admin_token")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bears reports whether a request carries the token with this hash.
func bears(r *http.Request, want [sha256.Size]byte) bool {
	got := sha256.Sum256([]byte(bearer(r)))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// bearer returns the token that a request carries (RFC 6750, 2.1); "": none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// knows reports whether a Host is this listener's own. Every browser sends one.
func (o Options) knows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	return host == "" || config.FixedHost(host) || slices.Contains(o.Hosts, host)
}

// fromBrowser reports whether a browser sent a request (Fetch standard, and
// Fetch Metadata Request Headers).
func fromBrowser(r *http.Request) bool {
	for name := range r.Header {
		if name == "Origin" || strings.HasPrefix(name, "Sec-Fetch-") {
			return true
		}
	}
	return false
}
