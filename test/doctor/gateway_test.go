package doctor

import (
	"slices"
	"strings"
	"testing"

	"wsfpm/test/contract"
)

// configure replaces words of the gateway's configuration until the end of the test.
func (s *site) configure(t *testing.T, old, new string) {
	t.Helper()
	right := s.gateway.ConfigText(t)
	s.gateway.Edit(t, old, new)
	s.gateway.Reloaded(t)
	t.Cleanup(func() {
		s.gateway.WriteConfig(t, right)
		s.gateway.Reloaded(t)
	})
}

// Mistakes of the gateway's own configuration, behind an nginx without any.
func TestTheGatewaysOwnMistakes(t *testing.T) {
	t.Parallel()
	contract.Row(t, "5.doctor-finds", "5.doctor-php")
	s := newSite(t, "")
	f := nginxFront(t, s, nginxRight)
	for _, m := range []mistake{
		{name: "other origins", old: "[[route]]", new: "[[route]]\norigins = [\"https://other.test\"]", check: "origin", cure: `origins = ["https://example.test"]`},
		{name: "no route", old: "/ws/{script}", new: "/sockets/{script}", check: "upgrade", cure: "[[route]]"},
	} {
		t.Run(m.name, func(t *testing.T) {
			s.configure(t, m.old, m.new)
			m.only(t, s.examine(t, f, "--silence", "100ms"))
		})
	}
	t.Run("all origins", func(t *testing.T) { // wsfpm check warns of them too
		s.configure(t, "[[route]]", "[[route]]\norigins = [\"*\"]")
		mistake{check: "origin", status: "warning", cure: `origins = ["https://example.test"]`}.only(t, s.outside(t, f))
	})
	t.Run("a proxy that is not trusted", func(t *testing.T) {
		s.configure(t, "drain ", "trusted_proxies = [\"10.9.9.9\"]\ndrain ")
		r := s.examine(t, f, "--silence", "100ms")
		if got := r.found(); !slices.Equal(got, []string{"scheme", "client address"}) {
			t.Errorf("found %v", got)
		}
		for _, name := range r.found() {
			if got := r.of(t, name); !strings.Contains(got.Cure, "trusted_proxies = ") {
				t.Errorf("got %v", got)
			}
		}
	})
	s.noRuns(t)
}

// Behind a load balancer the self-test finds its own gateway among others, and says so where
// it is not there.
func TestSeveralGateways(t *testing.T) {
	t.Parallel()
	contract.Row(t, "5.doctor-right", "5.doctor-php")
	s, other := newSite(t, ""), newSite(t, "")
	balanced := "upstream both { server unix:SITE/ws.sock; server unix:" + other.dir + "/ws.sock; }\n" + strings.Replace(nginxRight, "http://unix:SITE/ws.sock", "http://both", 1)
	clean(t, s.examine(t, nginxFront(t, s, balanced)), "dns")
	r := s.examine(t, nginxFront(t, s, strings.Replace(nginxRight, "SITE/ws.sock", other.dir+"/ws.sock", 1)))
	if got := r.of(t, "self-test"); got.Status != "not run" || r.Exit != 0 {
		t.Errorf("got %v", r)
	}
	s.noRuns(t)
	other.noRuns(t)
}

// Over TLS of a CA that is not known here, all else is looked at too; without TLS nothing
// is amiss.
func TestNginxWithOtherTLS(t *testing.T) {
	t.Parallel()
	contract.Row(t, "5.doctor-right", "5.doctor-finds")
	s := newSite(t, "")
	f := nginxFront(t, s, nginxRight)
	url := host + "/ws/count"
	mistake{check: "tls", cure: "--ca FILE"}.only(t, ask(t, append(s.inside(t), "wss://"+url, "--connect", "443="+f.tls, "--connect", "80="+f.plain)...))
	conf := strings.NewReplacer("LISTEN ssl", "LISTEN", "ssl_certificate ", "# ", "ssl_certificate_key ", "# ").Replace(nginxRight)
	f = nginxFront(t, s, conf)
	clean(t, ask(t, append(s.inside(t), "ws://"+url, "--connect", "80="+f.tls)...), "dns", "tls", "redirect")
	s.noRuns(t)
}
