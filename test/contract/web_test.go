package contract

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// startWeb serves a folder as a project has it, with everything in one place.
func startWeb(t *testing.T, args ...string) (g *stack.GatewayServer, page string) {
	t.Helper()
	stack.Integration(t)
	dir := stack.Scripts(t, map[string]string{
		"index.php": "echo 'home';", "public/index.html": "<?php // an asset of a folder below\n",
		"assets/app.js": "<?php script", "assets/site.css": "<?php style", "vendor/kit/kit.js": "<?php kit",
		"storage/logs/laravel.log": "<?php secret", "database.sqlite": "<?php secret", "backup.sql": "<?php secret", ".env": "<?php secret",
		"composer.json": "<?php secret", "config.php.bak": "<?php secret", "index.php~": "<?php secret", "notes.txt": "<?php secret",
		"vendor/phpunit/eval-stdin.php": "echo 'secret';", "node_modules/x/run.php": "echo 'secret';", ".git/config": "<?php secret",
	})
	for link, target := range map[string]string{"assets/main.js": "app.js", "home.php": "index.php", "env.js": ".env", "log.html": "storage/logs/laravel.log",
		"eval.php": "vendor/phpunit/eval-stdin.php", "kit": "vendor/phpunit", "source.js": "index.php", "asset.php": "assets/app.js"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	listen := stack.FreeAddress(t)
	g = stack.Gateway(t, stack.GatewayOptions{File: "listen = \"" + listen + "\"\n", Listen: listen, NotReady: true,
		Args: append([]string{"--listen", listen, "--fpm", shared.fpm.Address, "--script", filepath.Join(dir, "echo.php"), "--web", dir}, args...)})
	return g, strings.Replace(g.URL, "ws://", "http://", 1)
}

func TestWebServesPagesAndNoData(t *testing.T) {
	Row(t, "5.web", "5.web-files", "5.web-links")
	_, page := startWeb(t)
	for path, want := range map[string]string{"/": "home", "/index.php": "home", "/public/": "asset of a folder", "/assets/app.js": "script",
		"/assets/site.css": "style", "/vendor/kit/kit.js": "kit", "/assets/main.js": "script", "/home.php": "home"} {
		if got := stack.HTTP(t, "GET", page+path, nil); got.Status != 200 || !strings.Contains(got.Body, want) {
			t.Errorf("%s: got %d %q, want %q", path, got.Status, got.Body, want)
		}
	}
	for _, path := range []string{"/storage/logs/laravel.log", "/database.sqlite", "/backup.sql", "/.env", "/composer.json", "/config.php.bak", "/index.php~",
		"/notes.txt", "/vendor/phpunit/eval-stdin.php", "/node_modules/x/run.php", "/.git/config", "/storage/", "/storage/logs/", "/env.js", "/log.html", "/eval.php", "/kit/eval-stdin.php", "/source.js", "/asset.php"} {
		if got := stack.HTTP(t, "GET", page+path, nil); got.Status != 404 || strings.Contains(got.Body, "secret") {
			t.Errorf("%s: got %d %q, want 404", path, got.Status, got.Body)
		}
	}
}

func TestWebAnswersNoForeignHost(t *testing.T) {
	Row(t, "5.web-host")
	g, page := startWeb(t, "--web-host", "box.lan")
	_, port, _ := strings.Cut(g.Listen, ":")
	for host, status := range map[string]int{"localhost": 200, "app.localhost": 200, "192.168.1.5": 200, "box.lan": 200, "evil.example": 403} {
		host += ":" + port
		equal(t, "a page of "+host, stack.HTTP(t, "GET", page+"/", http.Header{"Host": {host}}).Status, status)
		opt := stack.DialOptions{Host: host, Origin: "http://" + host}
		if status == 200 {
			stack.Dial(t, g.URL+"/ws", opt).Close(1000, "")
			continue
		}
		equal(t, "a socket of "+host, stack.Refused(t, g.URL+"/ws", opt).Status, status)
	}
}
