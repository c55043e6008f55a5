package gateway

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"wsfpm/gateway/config"
)

func trust(prefixes ...string) (t config.Trusted) {
	t.Unix = true
	for _, p := range prefixes {
		t.Prefixes = append(t.Prefixes, netip.MustParsePrefix(p))
	}
	return t
}

func TestClientAddressIsReadFromTheRight(t *testing.T) {
	const local, foreign, unix = "127.0.0.1:9999", "203.0.113.9:1234", "@"
	for _, test := range []struct {
		name, peer string
		forwarded  []string
		want       string
		known      bool
	}{
		{"no proxy", foreign, nil, "203.0.113.9", true},
		{"a client that claims to be another", foreign, []string{"198.51.100.1"}, "203.0.113.9", true},
		{"behind nginx", local, []string{"198.51.100.1"}, "198.51.100.1", true},
		{"a client that forges the left", local, []string{"10.0.0.1, 198.51.100.1"}, "198.51.100.1", true},
		{"two trusted hops", local, []string{"198.51.100.1, 10.1.1.1"}, "198.51.100.1", true},
		{"several lines", local, []string{"192.0.2.5", "198.51.100.1"}, "198.51.100.1", true},
		{"trusted all the way", local, []string{"127.0.0.1"}, "127.0.0.1", true},
		{"port and brackets", local, []string{"[2001:db8::1]:80"}, "2001:db8::1", true},
		{"mapped", local, []string{"::ffff:198.51.100.1"}, "198.51.100.1", true},
		{"garbage on the right", local, []string{"198.51.100.1, unknown"}, "127.0.0.1", false},
		{"garbage on the left", local, []string{"unknown, 198.51.100.1"}, "198.51.100.1", true},
		{"nothing", local, nil, "127.0.0.1", false},
		{"empty elements", local, []string{"", "192.0.2.5,, 198.51.100.1 ,", " ,"}, "198.51.100.1", true},
		{"unix", unix, []string{"198.51.100.1"}, "198.51.100.1", true},
		{"unix, nothing", unix, nil, "127.0.0.1", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = test.peer
		for _, line := range test.forwarded {
			r.Header.Add("X-Forwarded-For", line)
		}
		c, err := clientOf(r, trust("127.0.0.1/32", "10.0.0.0/8"))
		if err != nil || c.addr.String() != test.want || c.known != test.known {
			t.Errorf("%s: got %v, known %v, %v, want %s, %v", test.name, c.addr, c.known, err, test.want, test.known)
		}
	}
	for header, element := range map[string]string{"X-Forwarded-For": "198.51.100.1", "X-Forwarded-Proto": "http"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = local
		r.Header[header] = []string{strings.Repeat(element+",", 10), strings.Repeat(element+",", 7)}
		if _, err := clientOf(r, trust("127.0.0.1/32")); err == nil || !strings.Contains(err.Error(), header) {
			t.Errorf("%s: seventeen hops were taken, %v", header, err)
		}
	}
}

func TestOneEncryptedHopMakesTheClientSecure(t *testing.T) {
	for _, test := range []struct {
		lines []string
		want  bool
	}{
		{nil, false}, {[]string{"http"}, false}, {[]string{""}, false}, {[]string{"ws, http", "httpss"}, false},
		{[]string{"https"}, true}, {[]string{"WSS"}, true}, {[]string{" Https "}, true},
		{[]string{"https,http"}, true}, {[]string{"http, https"}, true}, {[]string{"https", "http"}, true}, {[]string{"http", ",, wss ,"}, true},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["X-Forwarded-Proto"] = test.lines
		for peer, want := range map[string]bool{"127.0.0.1:9": test.want, "203.0.113.9:9": false} {
			r.RemoteAddr = peer
			if c, err := clientOf(r, trust("127.0.0.1/32")); err != nil || c.secure != want {
				t.Errorf("%q from %s: got %v, %v, want %v", test.lines, peer, c.secure, err, want)
			}
		}
	}
}

func TestIPv6IsLimitedByNetwork(t *testing.T) {
	a := client{addr: netip.MustParseAddr("2001:db8:1:2::1")}
	b := client{addr: netip.MustParseAddr("2001:db8:1:2:ffff::2")}
	c := client{addr: netip.MustParseAddr("2001:db8:1:3::1")}
	if a.limitKey() != b.limitKey() || a.limitKey() == c.limitKey() {
		t.Errorf("got %v, %v, %v", a.limitKey(), b.limitKey(), c.limitKey())
	}
}

func TestOrigins(t *testing.T) {
	list := []string{"https://example.com", "https://app.example.com:8443"}
	for _, test := range []struct {
		origin, host string
		origins      []string
		secure, want bool
	}{
		{"https://example.com", "example.com", nil, true, true},
		{"https://example.com", "example.com:443", nil, true, true},
		{"https://EXAMPLE.com", "example.COM", nil, false, true},
		{"http://example.com", "example.com", nil, false, true},
		{"http://example.com", "example.com", nil, true, false},
		{"http://localhost:8080", "localhost:8080", nil, false, true},
		{"http://localhost:8081", "localhost:8080", nil, false, false},
		{"https://example.com", "localhost", nil, false, false},
		{"https://example.com.evil.test", "example.com", nil, true, false},
		{"https://evil.test/example.com", "example.com", nil, true, false},
		{"https://example.com@evil.test", "evil.test", nil, true, false},
		{"null", "example.com", nil, false, false},
		{"", "example.com", nil, false, false},
		{"file://", "example.com", nil, false, false},
		{"https://example.com", "other", list, false, true},
		{"http://example.com", "example.com", list, false, false},
		{"https://example.com:443", "example.com", list, false, false},
		{"https://app.example.com:8443", "x", list, false, true},
		{"null", "x", list, false, false},
		{"https://any.test", "x", []string{"*"}, false, true},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = test.host
		r.Header["Origin"] = []string{test.origin}
		refused := checkOrigin(r, &route{Route: &config.Route{Origins: test.origins}}, &client{secure: test.secure})
		if got := refused == nil; got != test.want {
			t.Errorf("origin %q on %q, list %v, TLS %v: passes %v, want %v", test.origin, test.host, test.origins, test.secure, got, test.want)
		}
	}
}

func TestNoOriginIsNoBrowser(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	if refused := checkOrigin(r, &route{Route: &config.Route{}}, &client{}); refused != nil {
		t.Errorf("refused: %v", refused)
	}
	if refused := checkOrigin(r, &route{Route: &config.Route{RequireOrigin: true}}, &client{}); refused == nil || refused.status != http.StatusForbidden {
		t.Errorf("require_origin: got %v", refused)
	}
}

func TestHeadersForPHP(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{
		"Cookie": {"a=1", "b=2"}, "User-Agent": {"x"}, "Authorization": {"Bearer x"}, "X-Custom": {"1", "2"}, "Origin": {"http://a"},
		"Proxy": {"evil"}, "X_real_ip": {"evil"}, "X-Real-Ip": {"evil"}, "Accept-Encoding": {"gzip"}, "If-None-Match": {"x"},
		"Content-Type": {"x"}, "Content-Length": {"5"}, "Range": {"x"}, "Forwarded": {"x"}, "X-Forwarded-Host": {"x"}, "Redirect-Status": {"200"},
		"X-Forwarded-For": {"x"}, "Connection": {"Upgrade, X-Hop"}, "X-Hop": {"x"}, "Sec-Websocket-Key": {"x"}, "Sec-Websocket-Protocol": {"v1"},
		"Te": {"trailers"}, "Weird\xff": {"x"},
	}
	rt := &route{Route: &config.Route{PassHeaders: []string{"x-real-ip", "proxy"}}}
	passed, refused := passedHeaders(r, rt, &client{})
	if refused != nil {
		t.Fatal(refused)
	}
	want := map[string]bool{"Cookie": true, "User-Agent": true, "Authorization": true, "X-Custom": true, "Origin": true, "X-Real-Ip": true, "Sec-Websocket-Protocol": true}
	for name := range r.Header {
		if _, got := passed[name]; got != want[name] {
			t.Errorf("%s reaches PHP: %v, want %v", name, got, want[name])
		}
	}
	if got := passed.Values("Cookie"); len(got) != 1 || got[0] != "a=1; b=2" {
		t.Errorf("cookies: got %q", got)
	}
	if passed, _ := passedHeaders(r, rt, &client{trusted: true}); passed["X-Forwarded-For"] == nil {
		t.Error("a trusted proxy's X-Forwarded-For does not reach PHP")
	}
	r.Header.Set("X-Bad", "a\nb")
	if _, refused := passedHeaders(r, rt, &client{}); refused == nil || refused.status != http.StatusBadRequest {
		t.Errorf("a line feed in a value: got %v", refused)
	}
}
