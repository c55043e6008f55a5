package fcgi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wsfpm/test/fcgitest"
)

// pages makes a folder of pages with everything that must not be served.
func pages(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	root := filepath.Join(top, "web")
	for name, text := range map[string]string{
		"web/index.html": "home", "web/a.css": "plain", "web/page.php": "<?php secret", "web/.env": "secret",
		"web/app/index.php": "<?php echo 2;", "web/empty/a.txt": "x", "web/.git/config": "secret",
		"web/page.php.bak": "source", "web/page.PHP": "source", "web/lib.phtml": "source", "web/db.inc": "source",
		"web/icon.SVG": "icon", "web/vendor/kit/kit.js": "kit", "web/vendor/kit/kit.php": "secret", "web/.git/x.js": "secret",
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
	for link, target := range map[string]string{
		"within.css": "a.css", "again.php": "page.php", "pages": "app",
		"env.css": ".env", "dotted": ".git", "text.js": "empty/a.txt", "source.css": "page.php", "source.html": "lib.phtml",
		"asset.php": "a.css", "kit.php": "vendor/kit/kit.php", "kit": "vendor/kit", "part.php": "db.inc", "loop.css": "loop.css",
	} {
		os.Symlink(target, filepath.Join(root, link))
	}
	return root
}

// private are files as they lie in the folder of a project, none of which a page needs.
var private = []string{
	"storage/logs/laravel.log", "database/database.sqlite", "app.sqlite3", "backup.sql", "dump.sql.gz", "site.zip", "site.tar", "x.db",
	"composer.json", "composer.lock", "package.json", "auth.json", "phpunit.xml", "config.yml", "config.yaml", "app.ini", "settings.toml", "data.json", "data.csv",
	"notes.txt", "README.md", "artisan", "Makefile", "id_rsa", "server.key", "server.pem", "page.php.bak", "page.php~", "page.php.save", "page.php.orig", "page.php.swp",
	"index.html~", "index.html.bak", "page.PHP", "page.php5", "page.phar", "page.phps", "page.inc", "page.tpl", "page.twig", ".env", ".htaccess", ".user.ini",
	".git/config", "a/.env.js", ".well/x.css", "vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php", "vendor/autoload.php", "app/vendor/x/index.php", "node_modules/x/x.php",
}

func TestFilesThatAreNoPageAreNotServed(t *testing.T) {
	root := pages(t)
	ran := false
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		ran = true
		w.Stdout("Content-Type: text/plain\r\n\r\nsecret")
	}, fcgitest.Options{})
	h := WebHandler(s.Network, s.Address, root, nil)
	for _, name := range private {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("secret"), 0o644); err != nil {
			t.Fatal(err)
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/"+name, http.NoBody))
		if rec.Code != 404 || strings.Contains(rec.Body.String(), "secret") || ran {
			t.Errorf("%s: got %d %q, run by PHP: %v", name, rec.Code, rec.Body, ran)
		}
	}
}

// A deploy that switches the folder's link counts for pages too.
func TestPagesFollowALink(t *testing.T) {
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		w.Stdout("Content-Type: text/plain\r\n\r\n" + r.Params["SCRIPT_FILENAME"] + " in " + r.Params["DOCUMENT_ROOT"])
	}, fcgitest.Options{})
	first, err := filepath.EvalSymlinks(pages(t))
	if err != nil {
		t.Fatal(err)
	}
	second, err := filepath.EvalSymlinks(pages(t))
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "current")
	h := WebHandler(s.Network, s.Address, link, nil)
	for _, release := range []string{first, second} {
		os.Remove(link)
		if err := os.Symlink(release, link); err != nil {
			t.Fatal(err)
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/page.php", http.NoBody))
		if want := release + "/page.php in " + release; rec.Body.String() != want {
			t.Errorf("got %d %q, want %q", rec.Code, rec.Body, want)
		}
	}
}

func TestPages(t *testing.T) {
	root := pages(t)
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		w.Stdout("Status: 202\r\nContent-Type: text/plain\r\nX-A: b\r\n\r\n")
		w.Stdout(fmt.Sprintf("%s %s %s|%s|%s|%s|%s", r.Params["REQUEST_METHOD"], r.Params["SCRIPT_NAME"], r.Params["QUERY_STRING"],
			r.Params["REMOTE_ADDR"], r.Params["HTTP_PROXY"], r.Params["HTTP_X_REAL_IP"], r.Body))
	}, fcgitest.Options{})
	h := WebHandler(s.Network, s.Address, root, nil)
	for _, c := range []struct {
		path   string
		status int
		body   string
	}{
		{"/", 200, "home"},
		{"/a.css", 200, "plain"},
		{"/within.css", 200, "plain"},
		{"/icon.SVG", 200, "icon"},
		{"/vendor/kit/kit.js", 200, "kit"},
		{"/page.php?x=1", 202, "POST /page.php x=1|192.0.2.1||1.2.3.4|in"},
		{"/app/", 202, "POST /app/index.php |192.0.2.1||1.2.3.4|in"},
		{"/app?x=1", 301, ""},
		{"/again.php", 202, "POST /again.php |192.0.2.1||1.2.3.4|in"},
		{"/pages/", 202, "POST /pages/index.php |192.0.2.1||1.2.3.4|in"},
		{"/kit/kit.js", 200, "kit"},
		{"/env.css", 404, ""}, {"/dotted/x.js", 404, ""}, {"/text.js", 404, ""}, {"/source.css", 404, ""}, {"/source.html", 404, ""},
		{"/asset.php", 404, ""}, {"/kit.php", 404, ""}, {"/kit/kit.php", 404, ""}, {"/part.php", 404, ""}, {"/loop.css", 404, ""},
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
	WebHandler("unix", "/nonexistent/sock", pages(t), nil).ServeHTTP(rec, httptest.NewRequest("GET", "/app?x=1", http.NoBody))
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
		WebHandler(s.Network, s.Address, pages(t), nil).ServeHTTP(rec, httptest.NewRequest("GET", "/page.php", http.NoBody))
		if rec.Code != 502 {
			t.Errorf("%s: got %d %q", name, rec.Code, rec.Body)
		}
	}
	rec := httptest.NewRecorder()
	WebHandler("unix", "/nonexistent/sock", pages(t), nil).ServeHTTP(rec, httptest.NewRequest("GET", "/page.php", http.NoBody))
	if rec.Code != 502 {
		t.Errorf("no server: got %d", rec.Code)
	}
}

func TestErrorTextOfAPageIsPassedOn(t *testing.T) {
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		w.Stderr("PHP message: PHP Warning:  x in page.php on line 3")
		w.Stdout("Content-Type: text/plain\r\n\r\nshown")
	}, fcgitest.Options{})
	root := pages(t)
	var got []string
	h := WebHandler(s.Network, s.Address, root, func(page string, text []byte) { got = append(got, page, string(text)) })
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/page.php", http.NoBody))
	want := []string{filepath.Join(root, "page.php"), "PHP message: PHP Warning:  x in page.php on line 3"}
	if !slices.Equal(got, want) || rec.Body.String() != "shown" {
		t.Errorf("got %q and the page %q, want %q", got, rec.Body, want)
	}
}
