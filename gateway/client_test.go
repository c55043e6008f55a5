package gateway

import (
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
