package fpm

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// xdebug loads it as php.ini would, with mode develop, its default.
var xdebug = map[string]string{"zend_extension": "xdebug.so"}

// loginPools are PHP-FPMs by what becomes of PHP's errors there.
var loginPools = map[string]stack.FPMOptions{
	"logged":           {Ini: map[string]string{"display_errors": "0", "log_errors": "1", "output_buffering": "0"}},
	"buffered":         {Ini: map[string]string{"display_errors": "0", "log_errors": "1", "output_buffering": "65536"}},
	"defaults":         {Ini: map[string]string{"display_errors": "1", "log_errors": "1", "html_errors": "1", "output_buffering": "0"}},
	"shown":            {Ini: map[string]string{"display_errors": "1", "log_errors": "0", "html_errors": "1", "output_buffering": "0"}},
	"shown-as-text":    {Ini: map[string]string{"display_errors": "1", "log_errors": "0", "html_errors": "0", "output_buffering": "4096"}},
	"xdebug":           {PHPINI: xdebug, Ini: map[string]string{"display_errors": "1", "log_errors": "0", "html_errors": "1", "output_buffering": "0"}},
	"xdebug-as-text":   {PHPINI: xdebug, Ini: map[string]string{"display_errors": "1", "log_errors": "0", "html_errors": "0", "output_buffering": "65536"}},
	"xdebug-logged":    {PHPINI: xdebug, Ini: map[string]string{"display_errors": "0", "log_errors": "1", "output_buffering": "0"}},
	"log-of-php.ini":   {PHPINI: map[string]string{"error_log": "/dev/null"}, Ini: map[string]string{"display_errors": "0", "error_log": "", "output_buffering": "0"}},
	"prepend-missing":  {Ini: map[string]string{"display_errors": "1", "log_errors": "0", "html_errors": "1", "auto_prepend_file": "/nowhere/x.php"}},
	"prepend-as-text":  {Ini: map[string]string{"display_errors": "1", "log_errors": "0", "html_errors": "0", "auto_prepend_file": "/nowhere/x.php"}},
	"prepend-reported": {PHPINI: xdebug, Ini: map[string]string{"display_errors": "1", "log_errors": "0", "html_errors": "1", "auto_prepend_file": "/nowhere/x.php"}},
}

// startLogins runs a gateway over all pools, whose path /POOL/NAME is a script.
func startLogins(t *testing.T, pools map[string]stack.FPMOptions, sources map[string]string, route string) *stack.GatewayServer {
	t.Helper()
	stack.Integration(t)
	files := maps.Clone(included)
	for name, source := range sources {
		files[name+".php"] = source
	}
	dir := stack.TempDir(t)
	for name, source := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var tables strings.Builder
	for pool, options := range pools {
		options.NoINI = options.PHPINI == nil
		fmt.Fprintf(&tables, "[fpm.%s]\naddress = %q\nmax_connections = 4\nmax_idle = 4\nmax_streams = 4\n", strings.ReplaceAll(pool, ".", "-"), stack.FPM(t, options).Address)
		fmt.Fprintf(&tables, "[[route]]\npath = \"/%s/{script}\"\nroot = %q\nfpm = %q\n%s\n", pool, dir, strings.ReplaceAll(pool, ".", "-"), route)
	}
	return stack.Gateway(t, stack.GatewayOptions{
		Limits: "messages_per_second = 0\nconnections_per_address = 0\nhandshake_headers = \"64KiB\"", Routes: tables.String(),
	})
}

// knock tries every path at once, as far as the machine allows, and returns the
// status of each.
func knock(t *testing.T, g *stack.GatewayServer, paths []string) map[string]int {
	t.Helper()
	var mu sync.Mutex
	got := make(map[string]int)
	var clients sync.WaitGroup
	slots := make(chan struct{}, 16)
	for _, path := range paths {
		clients.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			resp := stack.Handshake(t, g.Listen, path)
			mu.Lock()
			defer mu.Unlock()
			got[path] = resp.Status
		})
	}
	clients.Wait()
	return got
}

// paths are all scripts on all pools.
func paths[V any](pools map[string]stack.FPMOptions, scripts map[string]V) (all []string) {
	for pool := range pools {
		for name := range scripts {
			all = append(all, "/"+pool+"/"+name)
		}
	}
	return all
}

func TestABrokenLoginAdmitsNoClient(t *testing.T) {
	contract.Row(t, "2.php-error-stderr", "2.php-error-body", "2.headers-sent", "2.php-error-xdebug")
	sources := maps.Clone(logins)
	maps.Copy(sources, timeouts)
	g := startLogins(t, loginPools, sources, "")
	all := append(paths(loginPools, logins), "/shown/timeout", "/logged/timeout_late")
	for path, status := range knock(t, g, all) {
		if status < 400 {
			t.Errorf("%s: got status %d, want a refusal", path, status)
		}
	}
	equal(t, "clients let in", g.Metric(t, "wsfpm_connections_opened_total"), 0)
}

// No report shows these failures: WS-Accept is needed, or PHP-FPM's own header.
func TestASilentLoginAdmitsOnlyClientsThatItAccepted(t *testing.T) {
	contract.Row(t, "2.accept-header")
	sources := make(map[string]string)
	for name, script := range silent {
		sources[name] = script.source
	}
	g := startLogins(t, loginPools, sources, `accept = "header"`)
	for path, status := range knock(t, g, paths(loginPools, silent)) {
		if status < 400 {
			t.Errorf("%s: got status %d, want a refusal", path, status)
		}
	}
}

func TestTheShippedPoolReportsEveryDeathBeforeOutput(t *testing.T) {
	contract.Row(t, "2.ws-failed", "2.pool-file")
	pools := map[string]stack.FPMOptions{"shipped": {Ini: shippedIni(t)}}
	sources := maps.Clone(logins)
	maps.DeleteFunc(sources, func(_, source string) bool {
		return !strings.HasPrefix(source, admin) || strings.Contains(source, "flush()")
	})
	for name, script := range silent {
		if !script.sends {
			sources[name] = script.source
		}
	}
	g := startLogins(t, pools, sources, "detect_php_errors = false")
	for path, status := range knock(t, g, paths(pools, sources)) {
		if status < 400 {
			t.Errorf("%s: got status %d, want a refusal", path, status)
		}
	}
}

// shippedIni are the settings of PHP in deploy/php-fpm.
func shippedIni(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(stack.Root(t), "deploy", "php-fpm", "wsfpm.conf"))
	if err != nil {
		t.Fatal(err)
	}
	ini := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^php_admin_(?:value|flag)\[(.+)\][ \t]*=[ \t]*(.*)$`).FindAllSubmatch(text, -1) {
		ini[string(m[1])] = string(m[2])
	}
	if len(ini) == 0 {
		t.Fatal("no settings of PHP in the pool file")
	}
	return ini
}
