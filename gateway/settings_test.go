package gateway

import (
	"net/http/httptest"
	"testing"

	"wsfpm/gateway/config"
)

// routes are settings with these routes, all of one pool without PHP-FPM.
func routes(t testing.TB, list ...*config.Route) *settings {
	t.Helper()
	cfg := &config.Config{Routes: list, FPM: map[string]*config.FPM{"": config.NewFPM("", "")}}
	s, err := newSettings(cfg, map[string]*pool{"": {queues: make(map[string]*disconnects)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A route for one host often has other rules than the one for all: no spelling
// of the host may lead past it.
func TestAHostIsFoundInEverySpelling(t *testing.T) {
	s := routes(t,
		&config.Route{Path: "/ws", Script: "/srv/own.php", Host: []string{"a.example"}},
		&config.Route{Path: "/ws", Script: "/srv/any.php"},
	)
	for host, want := range map[string]string{
		"a.example":       "/srv/own.php",
		"A.Example":       "/srv/own.php",
		"a.example:8080":  "/srv/own.php",
		"a.example.":      "/srv/own.php",
		"a.example.:8080": "/srv/own.php",
		"a.example..":     "/srv/any.php", // no name at all
		".a.example":      "/srv/any.php",
		"b.a.example":     "/srv/any.php",
		".":               "/srv/any.php",
		"":                "/srv/any.php",
	} {
		if _, named := s.find(host, "/ws"); named.script != want {
			t.Errorf("host %q: got %s, want %s", host, named.script, want)
		}
	}
}

// To a browser the two names are two origins.
func TestTheDotCountsInOrigins(t *testing.T) {
	for _, test := range []struct {
		origin, host string
		want         bool
	}{
		{"https://a.example.", "a.example.", true},
		{"https://a.example", "a.example.", false},
		{"https://a.example.", "a.example", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = test.host
		r.Header["Origin"] = []string{test.origin}
		refused := checkOrigin(r, &route{Route: &config.Route{}}, &client{secure: true})
		if got := refused == nil; got != test.want {
			t.Errorf("origin %q on %q: passes %v, want %v", test.origin, test.host, got, test.want)
		}
	}
}
