package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// own are the headers of a request of the page itself, with a session or a ticket.
func own(token string) http.Header {
	return http.Header{
		"Authorization": {"Bearer " + token}, "Origin": {"http://localhost"}, "Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}, "Content-Type": {"application/json"},
	}
}

// with returns headers with one changed; "" removes it.
func with(h http.Header, name, value string) http.Header {
	h = h.Clone()
	if h.Del(name); value != "" {
		h.Set(name, value)
	}
	return h
}

// enter opens a session, as wsfpm admin and the page do.
func enter(t *testing.T, h http.Handler) string {
	t.Helper()
	var said struct{ Ticket, Session string }
	got := ask(h, "POST", "/ticket", "", nil)
	if err := json.Unmarshal(got.Body.Bytes(), &said); err != nil || said.Ticket == "" {
		t.Fatalf("/ticket: got %d %s", got.Code, got.Body)
	}
	got = ask(h, "POST", "/page/session", "", own(said.Ticket))
	if err := json.Unmarshal(got.Body.Bytes(), &said); err != nil || said.Session == "" {
		t.Fatalf("/page/session: got %d %s", got.Code, got.Body)
	}
	if again := ask(h, "POST", "/page/session", "", own(said.Ticket)); again.Code != http.StatusUnauthorized {
		t.Errorf("a ticket was used twice: %d %s", again.Code, again.Body)
	}
	return said.Session
}

func TestThePageIsOpenAndHasAPolicy(t *testing.T) {
	for _, o := range []Options{{Gateway: &fake{}}, {Gateway: &fake{}, Private: true}, {Gateway: &fake{}, Token: "0123456789abcdef"}} {
		h := New(o)
		for path, content := range map[string]string{"/": "text/html", "/page.js": "text/javascript", "/page.css": "text/css", "/icon.svg": "image/svg"} {
			got := ask(h, "GET", path, "", http.Header{"Sec-Fetch-Site": {"none"}, "Sec-Fetch-Mode": {"navigate"}})
			header := got.Result().Header
			if got.Code != 200 || !strings.HasPrefix(header.Get("Content-Type"), content) || header.Get("Content-Security-Policy") != policy ||
				header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Referrer-Policy") != "no-referrer" || header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
				t.Errorf("%s: got %d, %v", path, got.Code, header)
			}
			if got := askAs(h, path, "evil.test"); got != http.StatusForbidden {
				t.Errorf("%s of a foreign name: %d, want 403", path, got)
			}
		}
	}
}

func TestASessionOpensThePageAlone(t *testing.T) {
	f := &fake{}
	core, logs := observer.New(zap.InfoLevel)
	h := New(Options{Gateway: f, Private: true, Logger: zap.New(core)})
	s := enter(t, h)
	if got := ask(h, "GET", "/page/find?of=user:42", "", own(s)); got.Code != 200 || !strings.Contains(got.Body.String(), `"id":"b"`) || strings.Contains(got.Body.String(), `"id":"a"`) {
		t.Errorf("look-up: got %d %s", got.Code, got.Body)
	}
	if got := ask(h, "POST", "/page/push", `{"to":"user:42","data":"a secret"}`, own(s)); got.Code != 200 || len(f.pushed) != 1 {
		t.Errorf("send: got %d %s", got.Code, got.Body)
	}
	if got := ask(h, "POST", "/page/push", `{"purge":"/ws"}`, own(s)); got.Code != 200 {
		t.Errorf("purge: got %d %s", got.Code, got.Body)
	}
	for _, path := range []string{"/connections", "/metrics", "/debug/pprof/cmdline", "/ready"} {
		if got := ask(h, "GET", path, "", own(s)); got.Code != http.StatusForbidden {
			t.Errorf("%s with a session: %d, want 403", path, got.Code)
		}
	}
	if got := ask(h, "POST", "/ticket", "", own(s)); got.Code != http.StatusForbidden {
		t.Errorf("a session made a ticket: %d", got.Code)
	}
	if got := ask(h, "GET", "/page/find?of=all", "", own(s)); got.Code != http.StatusBadRequest {
		t.Errorf("a look-up of all: %d %s", got.Code, got.Body)
	}
	var lines []string
	for _, e := range logs.FilterMessage("control").All() {
		c := e.ContextMap()
		whom, _ := c["whom"].(string)
		lines = append(lines, c["what"].(string)+" "+whom)
		for _, v := range c {
			if v == "a secret" {
				t.Error("the log has what was sent")
			}
		}
	}
	if got := strings.Join(lines, "; "); got != "make a ticket for the page ; open the page ; look up user:42; send user:42; purge /ws" {
		t.Errorf("the log has %q", got)
	}
}

func TestForeignPagesCannotUseASession(t *testing.T) {
	h := New(Options{Gateway: &fake{}, Private: true, Hosts: []string{"wsfpm.internal"}})
	s := enter(t, h)
	for name, header := range map[string]http.Header{
		"another origin":        with(own(s), "Origin", "http://evil.test"),
		"another port":          with(own(s), "Origin", "http://localhost:8080"),
		"null":                  with(own(s), "Origin", "null"),
		"no origin":             with(own(s), "Origin", ""),
		"another site":          with(own(s), "Sec-Fetch-Site", "cross-site"),
		"the same site":         with(own(s), "Sec-Fetch-Site", "same-site"),
		"a typed address":       with(own(s), "Sec-Fetch-Site", "none"),
		"no site":               with(own(s), "Sec-Fetch-Site", ""),
		"no session":            with(own(s), "Authorization", ""),
		"another session":       own(s + "x"),
		"the session elsewhere": with(own(s), "Authorization", "Basic "+s),
	} {
		for _, path := range []string{"/page/push", "/page/session"} {
			if got := ask(h, "POST", path, `{"to":"all","data":1}`, header); got.Code != http.StatusForbidden && got.Code != http.StatusUnauthorized {
				t.Errorf("%s with %s: %d, want to be refused", path, name, got.Code)
			}
		}
	}
	for name, header := range map[string]http.Header{"another site": with(own(s), "Sec-Fetch-Site", "cross-site"), "another origin": with(own(s), "Origin", "http://evil.test")} {
		if got := ask(h, "GET", "/page/find?of=user:42", "", header); got.Code != http.StatusForbidden {
			t.Errorf("a look-up of %s: %d, want 403", name, got.Code)
		}
	}
	if got := askAs(h, "/page/find?of=user:42", "evil.test", "Authorization", "Bearer "+s, "Sec-Fetch-Site", "same-origin"); got != http.StatusForbidden {
		t.Errorf("a page that rebinds DNS: %d, want 403", got)
	}
	if got := ask(h, "POST", "/push", `{"to":"all","data":1}`, own(s)); got.Code != http.StatusForbidden {
		t.Errorf("/push with a session: %d, want 403", got.Code)
	}
}

func TestTicketsAndSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Sessions
		late, used := s.Ticket(), s.Ticket()
		open := s.open(used)
		time.Sleep(ticketLife)
		if s.open(late) != "" {
			t.Error("a ticket is valid after its time")
		}
		if !s.holds(open) || s.holds("") || s.holds(used) {
			t.Error("want the session, and neither nothing nor the ticket")
		}
		time.Sleep(sessionLife)
		if s.holds(open) {
			t.Error("a session is open after its time")
		}
		first := s.Ticket()
		for range mostSessions {
			time.Sleep(time.Second)
			s.Ticket()
		}
		if len(s.tickets) != mostSessions || s.open(first) != "" {
			t.Errorf("%d tickets are kept, want %d and not the oldest", len(s.tickets), mostSessions)
		}
	})
}

func TestTheControlSocketShowsEventsAndMakesTickets(t *testing.T) {
	o := Options{Gateway: &fake{}, Sessions: new(Sessions)}
	h := NewControl(o.Gateway, zap.NewNop())
	h.Show(o)
	for _, path := range []string{"/events", "/events?bodies=1", "/figures"} {
		if got := askAs(h, path, "localhost"); got != http.StatusOK {
			t.Errorf("%s: got %d", path, got)
		}
		if got := askAs(h, path, "localhost", "Sec-Fetch-Site", "none", "Authorization", "Bearer "+o.Sessions.open(o.Sessions.Ticket())); got != http.StatusForbidden {
			t.Errorf("%s for a browser with a session: got %d", path, got)
		}
	}
	var said struct{ Ticket string }
	got := ask(h, "POST", "/ticket", "", nil)
	if err := json.Unmarshal(got.Body.Bytes(), &said); err != nil || o.Sessions.open(said.Ticket) == "" {
		t.Errorf("/ticket: got %d %s", got.Code, got.Body)
	}
}
