package admin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

var everyPath = []string{"/live", "/ready", "/metrics", "/connections", "/events", "/figures", "/debug/pprof/cmdline", "/debug/pprof/heap?debug=1"}

// askAs asks with a Host and further headers, name and value in turn. The client has left,
// so that what would last ends.
func askAs(h http.Handler, path, host string, headers ...string) int {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	r := httptest.NewRequestWithContext(gone, "GET", path, nil)
	r.Host = host
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// TestDNSRebinding sends requests like a page whose own name resolves to this listener.
func TestDNSRebinding(t *testing.T) {
	const token = "0123456789abcdef"
	for _, options := range []Options{{Private: true}, {Private: true, Token: token}, {}, {Token: token}} {
		options.Gateway, options.Hosts = &fake{}, []string{"wsfpm.internal"}
		h := New(options)
		for _, path := range everyPath {
			for _, host := range []string{"evil.test", "evil.test:8081", "localhost.evil.test", "127.0.0.1.evil.test", "evil.wsfpm.internal", "wsfpm.internal.evil.test", "wsfpm", "1.2.3"} {
				if got := askAs(h, path, host); got != http.StatusForbidden {
					t.Errorf("%s of %s with %+v: status %d, want 403", path, host, options, got)
				}
			}
			if got := askAs(h, path, "evil.test", "Authorization", "Bearer "+token); options.Token != "" && got != http.StatusOK {
				t.Errorf("%s of a name with the token: status %d, want 200", path, got)
			}
		}
	}
}

func TestHostsThatNoPageCanHave(t *testing.T) {
	h := New(Options{Gateway: &fake{}, Private: true, Hosts: []string{"wsfpm.internal"}})
	for _, host := range []string{"", "localhost", "LocalHost:8081", "localhost.", "app.localhost", "127.0.0.1", "127.0.0.1:8081", "10.1.2.3:8081", "[::1]", "[::1]:8081", "[fe80::1%25eth0]:1", "wsfpm.internal", "WSFPM.internal.:8081"} {
		for _, path := range everyPath {
			if got := askAs(h, path, host); got != http.StatusOK {
				t.Errorf("%s of %q: status %d, want 200", path, host, got)
			}
		}
	}
}

func TestABrowserNeedsTheToken(t *testing.T) {
	const token = "0123456789abcdef"
	browsers := [][]string{{"Origin", "http://localhost:8081"}, {"Origin", "null"}, {"Sec-Fetch-Site", "none"}, {"Sec-Fetch-Mode", "navigate"}, {"sec-fetch-dest", "document"}}
	for _, browser := range browsers {
		for _, path := range everyPath {
			for _, test := range []struct {
				options Options
				more    []string
				status  int
			}{
				{Options{Private: true}, nil, 403},
				{Options{Private: true, Token: token}, nil, 401},
				{Options{}, nil, 403},
				{Options{Token: token}, nil, 401},
				{Options{Token: token}, []string{"Authorization", "Bearer x" + token}, 401},
				{Options{Token: token}, []string{"Authorization", "Bearer " + token}, 200},
				{Options{Private: true, Token: token}, []string{"Authorization", "Bearer " + token}, 200},
				{Options{}, []string{"Authorization", "Bearer "}, 403},
			} {
				test.options.Gateway = &fake{}
				if got := askAs(New(test.options), path, "localhost", append(test.more, browser...)...); got != test.status {
					t.Errorf("%s with %v and %+v: status %d, want %d", path, browser, test.options, got, test.status)
				}
			}
		}
	}
}

func TestAnUnknownHostIsLoggedOnceAMinute(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	h := New(Options{Gateway: &fake{}, Logger: zap.New(core)})
	for range 5 {
		askAs(h, "/ready", strings.Repeat("x", 1000)+".test")
	}
	if got := logs.All(); len(got) != 1 || len(got[0].ContextMap()["host"].(string)) > 120 {
		t.Errorf("got %v, want one short line", got)
	}
}

// FuzzHost asks with any Host: what is answered is no name of a foreign page.
func FuzzHost(f *testing.F) {
	for _, host := range []string{"", "a", "evil.test:1", "[::1]:1", "[evil]", "localhost:1:2", "0x7f.1", "127.1", "::1", "%", "[[localhost]]", "localhost.."} {
		f.Add(host)
	}
	h := New(Options{Gateway: &fake{}, Private: true})
	f.Fuzz(func(t *testing.T, host string) {
		if askAs(h, "/connections", host) != http.StatusOK {
			return
		}
		name := strings.ToLower(host)
		if i := strings.IndexByte(name, '%'); i >= 0 { // a zone
			name = name[:i]
		}
		address, _, _ := strings.Cut(name, "]")
		if i := strings.LastIndexByte(address, ':'); i >= 0 {
			address = address[:i]
		}
		if name = strings.Trim(address, "[."); name == "localhost" || strings.HasSuffix(name, ".localhost") {
			return
		}
		if strings.Trim(address, "0123456789abcdef:.[") != "" {
			t.Fatalf("%q was answered", host)
		}
	})
}
