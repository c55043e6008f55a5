package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"wsfpm/gateway/config"
)

// FuzzForwardedFor checks that no X-Forwarded-For makes a client of an untrusted
// peer, or an invalid address.
func FuzzForwardedFor(f *testing.F) {
	for _, seed := range []string{"198.51.100.1", "a, 198.51.100.1", "[2001:db8::1]:80, 127.0.0.1", ",,,", "::ffff:1.2.3.4%eth0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["X-Forwarded-For"] = []string{line}
		r.RemoteAddr = "203.0.113.9:1"
		if c, err := clientOf(r, trust("127.0.0.1/32")); err != nil || c.addr.String() != "203.0.113.9" {
			t.Fatalf("an untrusted peer became %v, %v", c.addr, err)
		}
		r.RemoteAddr = "127.0.0.1:1"
		if c, err := clientOf(r, trust("127.0.0.1/32")); err == nil && (!c.addr.IsValid() || !c.limitKey().IsValid()) {
			t.Fatalf("the address is invalid: %v", c.addr)
		}
	})
}

// FuzzOrigin checks that an origin of the same host names that host and no other.
func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{"https://example.com", "http://example.com:80", "https://example.com@evil.test", "null", "https://example.com.evil.test", "//example.com"} {
		f.Add(seed, "example.com", true)
	}
	f.Fuzz(func(t *testing.T, origin, host string, secure bool) {
		if !sameHost(origin, host, secure) {
			return
		}
		if _, rest, found := strings.Cut(origin, "://"); !found || !strings.EqualFold(withoutPort(rest), withoutPort(host)) {
			t.Fatalf("origin %q passes for host %q", origin, host)
		}
	})
}

// withoutPort cuts a port off by the look of it, and the brackets of IPv6.
func withoutPort(host string) string {
	i := strings.LastIndexByte(host, ':')
	if i > 0 && (strings.Count(host, ":") == 1 || host[i-1] == ']') && strings.Trim(host[i+1:], "0123456789") == "" {
		host = host[:i]
	}
	return strings.Trim(host, "[]")
}

// FuzzHandshake checks that no header of a handshake gets past passedHeaders
// into a parameter that clients may not set.
func FuzzHandshake(f *testing.F) {
	f.Add("X-Real-IP", "1.2.3.4", "v1, v2")
	f.Add("Proxy", "http://evil", "")
	f.Add("X_Forwarded_For", "a\x00b", ",,")
	f.Fuzz(func(t *testing.T, name, value, protocols string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = http.Header{http.CanonicalHeaderKey(name): {value}}
		offeredProtocols([]string{protocols})
		passed, refused := passedHeaders(r, &route{Route: &config.Route{}}, &client{})
		if refused != nil {
			return
		}
		for name, values := range passed {
			param := "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
			if param == "HTTP_PROXY" || !isHeaderName(name) || strings.ContainsAny(values[0], "\x00\r\n") {
				t.Fatalf("%s: %q reaches PHP as %s", name, values[0], param)
			}
		}
	})
}
