package gateway

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
)

// releases is a folder as deploys by links have it: releases/1, releases/2 and
// current, a link to the first.
type releases struct {
	t   testing.TB
	dir string // without links itself
}

// newReleases writes a script with a name into both.
func newReleases(t testing.TB, script string) *releases {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d := &releases{t, dir}
	for _, n := range []string{"1", "2"} {
		d.write("releases/" + n + "/ws/" + script)
	}
	d.link("releases/1")
	return d
}

func (d *releases) path(name string) string { return filepath.Join(d.dir, name) }

func (d *releases) write(name string) {
	d.t.Helper()
	if err := os.MkdirAll(filepath.Dir(d.path(name)), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.path(name), nil, 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// link switches current in one step.
func (d *releases) link(to string) {
	d.t.Helper()
	if err := os.Symlink(to, d.path("next")); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(d.path("next"), d.path("current")); err != nil {
		d.t.Fatal(err)
	}
}

// route is /r/{script} in current/ws.
func (d *releases) route(c *config.Config) {
	c.Routes[0].Path, c.Routes[0].Script = "/r/"+config.ScriptVar, ""
	c.Routes[0].Root, c.Routes[0].DocumentRoot = d.path("current/ws"), d.path("current")
}

func TestASwitchedLinkIsFollowedWithinASecond(t *testing.T) {
	d := newReleases(t, "chat.php")
	for name, p := range map[string]paths{
		"script":               {d.path("current/ws"), d.path("current/ws/chat.php")},
		"root":                 {d.path("current"), d.path("current/ws")},
		"link in another link": {d.path("alias"), d.path("alias/ws")},
	} {
		d.link("releases/1")
		if name == "link in another link" {
			if err := os.Symlink("current", d.path("alias")); err != nil {
				t.Fatal(err)
			}
		}
		r := newResolver(p, true)
		now := time.Now()
		first := r.current(now)
		if !strings.HasPrefix(first.base, d.path("releases/1/")) || !strings.HasPrefix(first.documentRoot, d.path("releases/1")) {
			t.Errorf("%s: got %+v, want release 1", name, *first)
		}
		if again := r.current(now.Add(time.Minute)); again != first {
			t.Errorf("%s: nothing was switched, and the paths are others: %+v", name, *again)
		}
		d.link("releases/2")
		second := r.current(now.Add(time.Minute + time.Second))
		if !strings.HasPrefix(second.base, d.path("releases/2/")) || !strings.HasPrefix(second.documentRoot, d.path("releases/2")) {
			t.Errorf("%s: got %+v a second after the switch, want release 2", name, *second)
		}
	}
}

// Between rm and ln the last release is used; after a while PHP receives the configured
// path, and reports the error.
func TestALinkThatIsGoneForAMomentChangesNothing(t *testing.T) {
	d := newReleases(t, "chat.php")
	r := newResolver(paths{d.path("current"), d.path("current/ws")}, true)
	began := time.Now().Add(time.Minute)
	after := func(seconds int) paths { return *r.current(began.Add(time.Duration(seconds) * time.Second)) }
	first := after(0)
	if err := os.Remove(d.path("current")); err != nil {
		t.Fatal(err)
	}
	for seconds := range 4 {
		if got := after(1 + seconds); got != first {
			t.Fatalf("got %+v while the link is away, want what it was", got)
		}
	}
	if got := after(10); got.base != d.path("current/ws") {
		t.Errorf("got %+v when the link stays away, want the configured path", got)
	}
	d.link("releases/2")
	if got := after(11); got.base != d.path("releases/2/ws") {
		t.Errorf("got %+v when the link is back, want release 2", got)
	}
}

func TestPathsStayAsConfigured(t *testing.T) {
	d := newReleases(t, "chat.php")
	link := paths{d.path("current"), d.path("current/ws")}
	elsewhere := paths{"/none/here", "/none/here/ws.php"}
	for name, r := range map[string]*resolver{"off": newResolver(link, false), "not on this machine": newResolver(elsewhere, true)} {
		if got := r.current(time.Now().Add(time.Minute)); *got != r.configured {
			t.Errorf("%s: got %+v, want %+v", name, *got, r.configured)
		}
	}
}

func TestOpenConnectionsMoveToTheNewRelease(t *testing.T) {
	d := newReleases(t, "chat.php")
	h := start(t, func(params map[string]string, body string) (string, string) {
		return "Set-Cookie: a=" + body, params["SCRIPT_FILENAME"] + " in " + params["DOCUMENT_ROOT"] + " as " + params["SCRIPT_NAME"]
	}, func(c *config.Config) {
		c.Limits.MessagesPerSecond = 0
		d.route(c)
	})
	p := h.dial("/r/chat", nil)
	want := func(n string) string {
		return d.path("releases/"+n+"/ws/chat.php") + " in " + d.path("releases/"+n) + " as /ws/chat.php"
	}
	p.want(want("1")) // the answer to connect
	for _, n := range []string{"2", "1"} {
		d.link("releases/" + n)
		eventually(t, "release "+n, func() bool {
			p.send("now?")
			_, got, err := p.Read(t.Context())
			return err != nil || string(got) == want(n)
		})
	}
}

func TestANewReleaseDoesNotLeadOutOfTheRoot(t *testing.T) {
	d := newReleases(t, "chat.php")
	d.write("secret.php")
	if err := os.Remove(d.path("releases/2/ws/chat.php")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../../secret.php", d.path("releases/2/ws/chat.php")); err != nil {
		t.Fatal(err)
	}
	h := start(t, echo, func(c *config.Config) {
		c.Limits.MessagesPerSecond = 0
		c.Routes[0].OnError, c.Routes[0].ErrorMessage = config.OnErrorMessage, "failed"
		d.route(c)
	})
	p := h.dial("/r/chat", nil)
	d.link("releases/2")
	eventually(t, "the event to fail", func() bool {
		p.send("x")
		_, got, err := p.Read(t.Context())
		return err != nil || string(got) == "failed"
	})
	_, refused, err := websocket.Dial(t.Context(), h.url+"/r/chat", nil)
	if err == nil || refused == nil || refused.StatusCode != http.StatusNotFound {
		t.Errorf("a handshake: got %v, want 404", err)
	}
	for _, e := range h.seen("message") {
		if !strings.HasPrefix(e["SCRIPT_FILENAME"], d.path("releases/1/ws/")) {
			t.Errorf("PHP was told to run %s", e["SCRIPT_FILENAME"])
		}
	}
}

func TestAScriptThatIsNewInAReleaseIsFoundAtOnce(t *testing.T) {
	d := newReleases(t, "chat.php")
	d.write("releases/2/ws/new.php")
	s := routes(t, &config.Route{Path: "/r/" + config.ScriptVar, Root: d.path("current/ws"), ResolveRoot: true})
	if rt, _ := s.find("", "/r/new"); rt != nil {
		t.Fatal("release 1 has no such script, and it was found")
	}
	d.link("releases/2")
	if rt, named := s.find("", "/r/new"); rt == nil || named.paths.base != d.path("releases/2/ws") {
		t.Errorf("got %+v right after the switch, want release 2", named)
	}
}
