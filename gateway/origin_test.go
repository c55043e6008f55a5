package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
)

// A page of another site can make its name lead to this machine after it was
// loaded: then Host and Origin agree, and neither is ours (DNS rebinding).
func TestAForeignHostGetsNeitherPagesNorASocket(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("home"), 0o644); err != nil {
		t.Fatal(err)
	}
	h := start(t, echo, func(c *config.Config) {
		c.Web, c.WebHosts = dir, []string{"box.lan"}
	})
	_, port, _ := strings.Cut(strings.TrimPrefix(h.web.URL, "http://"), ":")
	for host, status := range map[string]int{"127.0.0.1": 200, "localhost": 200, "a.localhost": 200, "box.lan": 200, "Box.LAN.": 200,
		"evil.example": 403, "localhost.evil.example": 403, "10.0.0.1.evil.example": 403} {
		host += ":" + port
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.web.URL+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		page, err := h.web.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(page.Body)
		page.Body.Close()
		if page.StatusCode != status || status == 200 && string(body) != "home" || status == 403 && !strings.Contains(string(body), "wsfpm dev --host ") {
			t.Errorf("a page of %s: got %d %q, want %d", host, page.StatusCode, body, status)
		}
		conn, answer, err := websocket.Dial(t.Context(), h.url+"/", &websocket.DialOptions{Host: host, HTTPHeader: http.Header{"Origin": {"http://" + host}}})
		if (err == nil) != (status == 200) || answer == nil || err != nil && answer.StatusCode != 403 {
			t.Errorf("a socket of %s: got %v, want %d", host, err, status)
		}
		if err == nil {
			conn.CloseNow()
		}
	}
}

// In front of a site the proxy decides which hosts there are.
func TestWithoutPagesEachHostIsServed(t *testing.T) {
	h := start(t, echo, nil)
	p := h.dial("/", &websocket.DialOptions{Host: "chat.example", HTTPHeader: http.Header{"Origin": {"http://chat.example"}}})
	p.send("x")
	p.want("x")
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

// FuzzSameHost holds the origin rule against its definition: the same host and
// port, the default port being that of the origin's scheme.
func FuzzSameHost(f *testing.F) {
	for _, origin := range []string{"https://example.com", "HTTP://EXAMPLE.COM:80", "https://example.com:8443", "https://[::1]", "https://example.com.", "file://", "https://example.com\\@evil"} {
		f.Add(origin, "example.com", false)
	}
	f.Add("http://[::1]:80", "[::1]", false)
	f.Add("http://example.com?", "example.com", false)
	f.Fuzz(func(t *testing.T, origin, host string, secure bool) {
		if strings.ContainsFunc(origin+host, func(r rune) bool { return r < 0x21 || r > 0x7e }) || strings.Contains(origin+host, "%") {
			return // no browser sends these
		}
		if !sameHost(origin, host, secure) {
			return
		}
		scheme, rest, _ := strings.Cut(strings.ToLower(origin), "://")
		port := map[string]string{"http": ":80", "https": ":443"}[scheme]
		plain := func(s string) string {
			return strings.NewReplacer("[", "", "]", "").Replace(strings.TrimSuffix(strings.ToLower(s), port))
		}
		if port == "" || secure && scheme != "https" || plain(rest) != plain(host) {
			t.Fatalf("origin %q passes for host %q, secure %v", origin, host, secure)
		}
	})
}
