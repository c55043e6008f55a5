package doctor

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsfpm/gateway/live"
)

// Each problem that a check names has a cure, for every proxy or for all of them.
func TestEachProblemHasACure(t *testing.T) {
	u, _ := url.Parse("wss://example.com/ws/chat")
	v := &visit{url: u}
	cures := make(map[string]cure)
	for _, c := range v.checks() {
		for problem, each := range c.cures {
			cures[problem] = each
		}
	}
	named := make(map[string]bool)
	for _, s := range statuses {
		named[s.problem] = true
	}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	problem := regexp.MustCompile(`(?:fault|warning|trusts)\("([a-z_]+)"`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range problem.FindAllSubmatch(text, -1) {
			named[string(m[1])] = true
		}
	}
	for name := range named {
		if cures[name] == nil {
			t.Errorf("%s has no cure", name)
		}
	}
	for name, each := range cures {
		for _, p := range Proxies {
			v.proxy = proxy(p)
			if text := v.fill(each); text == "" || regexp.MustCompile(`\{(host|path|site|peer|to|listen|limit)\}`).MatchString(text) {
				t.Errorf("%s for %s: %q", name, p, text)
			}
		}
	}
}

func TestWorkersThatNeverCame(t *testing.T) {
	v := new(visit)
	for want, p := range map[string]live.Pool{
		"no more than 2 of max_connections 8 came": {Name: "a", Limit: 2, Max: 8, Running: 2, Waiting: 3},
		"all 8 workers are in use, and 3 events":   {Name: "a", Limit: 8, Max: 8, Running: 8, Waiting: 3},
		"in use now: 8 of 8 in pool a":             {Name: "a", Limit: 8, Max: 8, Running: 8},
		"in use now: 0 of 8 in pool a":             {Name: "a", Limit: 1, Max: 8, Down: true}, // another check has found that
	} {
		if got := v.judgeWorkers([]live.Pool{p}); len(got) != 1 || !strings.Contains(got[0].text, want) {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

// A proxy that names itself nowhere gets the lines of all four.
func TestCuresOfAnUnknownProxy(t *testing.T) {
	u, _ := url.Parse("wss://example.com/ws/chat")
	v := &visit{url: u}
	text := v.fill(originCures["host"])
	for _, words := range []string{"# nginx, in the location of /ws/", "# Apache", "# HAProxy", "# Caddy"} {
		if !strings.Contains(text, words) {
			t.Errorf("no %q in %q", words, text)
		}
	}
}

// Lines that may not stand in the location or virtual host of the sockets name another place.
func TestCuresNameTheirPlace(t *testing.T) {
	u, _ := url.Parse("wss://example.com/ws/chat")
	for _, p := range []proxy{nginx, apache, haproxy, caddy} {
		v := &visit{url: u, proxy: p}
		for _, c := range []cure{redirectCures["plain"], tlsCures["chain"], upgradeCures["location"], schemeCures["scheme"]} {
			place, lines, _ := strings.Cut(v.fill(c), "\n")
			name, _, _ := strings.Cut(where[p], ",")
			if !strings.HasPrefix(place, name+",") || strings.Contains(lines, name+",") {
				t.Errorf("got %q, then %q, want one place", place, lines)
			}
			inLocation := place == "# nginx, in the location of /ws/" && !strings.HasPrefix(lines, "proxy_")
			inHost := place == "# Apache, in the virtual host" && strings.HasPrefix(lines, "<VirtualHost")
			if inLocation || inHost {
				t.Errorf("%s has %q, which the proxy refuses there", place, lines)
			}
		}
	}
}

func TestProxiesAreKnownByTheirAnswers(t *testing.T) {
	for want, a := range map[proxy]answer{
		nginx:   {header: http.Header{"Server": {"nginx/1.22.1"}}},
		apache:  {header: http.Header{"Server": {"Apache/2.4.66 (Debian)"}}},
		caddy:   {header: http.Header{"Server": {"Caddy"}}},
		haproxy: {status: 503, header: http.Header{}, body: "<html><body><h1>503 Service Unavailable</h1>\n"},
		"":      {status: 426, header: http.Header{}, body: "Upgrade Required\n"},
	} {
		if got := proxyOf(&a); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTheMissingHeadersAreNamed(t *testing.T) {
	for body, want := range map[string]string{
		"set: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;":                "HTTP/1.1, Upgrade is missing",
		`set: proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";`: "Upgrade, Connection is missing",
	} {
		if got := missing(body); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
