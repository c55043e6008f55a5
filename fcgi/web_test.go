package fcgi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/fcgi/fcgitest"
)

// pages makes a folder of pages with everything that must not be served.
func pages(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	root := filepath.Join(top, "web")
	for name, text := range map[string]string{
		"web/index.html": "home", "web/a.txt": "plain", "web/page.php": "<?php echo 1;", "web/.env": "secret",
		"web/app/index.php": "<?php echo 2;", "web/empty/a.txt": "x", "web/.git/config": "secret",
		"web/page.php.bak": "source", "web/page.PHP": "source", "web/lib.phtml": "source", "web/db.inc": "source",
		"outside.txt": "secret", "outside.php": "<?php secret",
	} {
		file := filepath.Join(top, name)
		os.MkdirAll(filepath.Dir(file), 0o755)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.Symlink(filepath.Join(top, "outside.txt"), filepath.Join(root, "link.txt"))
	os.Symlink(filepath.Join(top, "outside.php"), filepath.Join(root, "link.php"))
	os.Symlink("..", filepath.Join(root, "up"))
	os.Symlink("a.txt", filepath.Join(root, "within.txt"))
	return root
}

func TestPages(t *testing.T) {
	root := pages(t)
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		w.Stdout("Status: 202\r\nContent-Type: text/plain\r\nX-A: b\r\n\r\n")
		w.Stdout(fmt.Sprintf("%s %s %s|%s|%s|%s|%s", r.Params["REQUEST_METHOD"], r.Params["SCRIPT_NAME"], r.Params["QUERY_STRING"],
			r.Params["REMOTE_ADDR"], r.Params["HTTP_PROXY"], r.Params["HTTP_X_REAL_IP"], r.Body))
	}, fcgitest.Options{})
	h := WebHandler(s.Network, s.Address, root)
	for _, c := range []struct {
		path   string
		status int
		body   string
	}{
		{"/", 200, "home"},
		{"/a.txt", 200, "plain"},
		{"/within.txt", 200, "plain"},
		{"/page.php?x=1", 202, "POST /page.php x=1|192.0.2.1||1.2.3.4|in"},
		{"/app/", 202, "POST /app/index.php |192.0.2.1||1.2.3.4|in"},
		{"/app?x=1", 301, ""},
		{"/none.php", 404, ""}, {"/empty/", 404, ""}, {"/page.php/info", 404, ""}, {"/page.php/", 404, ""},
		{"/.env", 404, ""}, {"/.git/config", 404, ""}, {"/a/../.env", 404, ""}, {"/../outside.txt", 404, ""},
		{"/%2e%2e/outside.txt", 404, ""}, {"/..%2foutside.php", 404, ""}, {"/link.txt", 404, ""}, {"/link.php", 404, ""},
		{"/up/outside.txt", 404, ""}, {"/page.php%00.txt", 404, ""}, {"/page.PHP", 404, ""}, {"/lib.phtml", 404, ""},
		{"/db.inc", 404, ""}, {"/..\\outside.txt", 404, ""},
	} {
		r := httptest.NewRequest("POST", c.path, strings.NewReader("in"))
		r.Header["Proxy"] = []string{"http://evil"}
		r.Header["X-Real-Ip"] = []string{"1.2.3.4"}
		r.Header["X_real_ip"] = []string{"6.6.6.6"}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != c.status || c.body != "" && rec.Body.String() != c.body || strings.Contains(rec.Body.String(), "secret") {
			t.Errorf("%s: got %d %q, want %d %q", c.path, rec.Code, rec.Body, c.status, c.body)
		}
	}
}

func TestFolderWithoutSlashIsRedirected(t *testing.T) {
	rec := httptest.NewRecorder()
	WebHandler("unix", "/nonexistent/sock", pages(t)).ServeHTTP(rec, httptest.NewRequest("GET", "/app?x=1", http.NoBody))
	if got := rec.Header().Get("Location"); rec.Code != 301 || got != "/app/?x=1" {
		t.Errorf("got %d to %q", rec.Code, got)
	}
}

func TestPageThatFailsIsABadGateway(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing": "", "no header": record(6, 1, "oops") + completeEnd, "cut": record(6, 1, "A: b\r\n"),
	} {
		s := serve(t, raw([]byte(answer)), fcgitest.Options{})
		rec := httptest.NewRecorder()
		WebHandler(s.Network, s.Address, pages(t)).ServeHTTP(rec, httptest.NewRequest("GET", "/page.php", http.NoBody))
		if rec.Code != 502 {
			t.Errorf("%s: got %d %q", name, rec.Code, rec.Body)
		}
	}
	rec := httptest.NewRecorder()
	WebHandler("unix", "/nonexistent/sock", pages(t)).ServeHTTP(rec, httptest.NewRequest("GET", "/page.php", http.NoBody))
	if rec.Code != 502 {
		t.Errorf("no server: got %d", rec.Code)
	}
}
