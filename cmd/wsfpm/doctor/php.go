package doctor

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"wsfpm/fcgi"
	"wsfpm/gateway/config"
	"wsfpm/gateway/poolfile"
)

// directive is one of php.ini, with what is wrong about it.
type directive struct {
	name  string
	wrong func(value string) bool
	fault bool // else it is a warning
	text  string
	line  string // of a pool file
}

// directives are those that are looked at. A value of nil is left out: PHP lacks it.
var directives = []directive{
	{"display_errors", on, false, "clients may be sent PHP's error pages", "php_admin_flag[display_errors] = off"},
	{"log_errors", off, false, "the reason why a script failed is lost", "php_admin_flag[log_errors] = on"},
	{"error_log", file, false, "a file keeps PHP's errors from wsfpm, which knows a failure by them", "php_admin_value[error_log] ="},
	{"fastcgi.error_header", unnamed, false, "nothing says for sure that a script died", "php_admin_value[fastcgi.error_header] = \"WS-Failed: 1\""},
	{"output_buffering", off, false, "a header() after the first echo is lost", "php_admin_value[output_buffering] = 65536"},
	{"zlib.output_compression", on, true, "wsfpm refuses compressed answers", "php_admin_flag[zlib.output_compression] = off"},
	{"auto_prepend_file", named, false, "what that file prints is a part of each answer", "php_admin_value[auto_prepend_file] ="},
	{"auto_append_file", named, false, "what that file prints is a part of each answer", "php_admin_value[auto_append_file] ="},
	{"output_handler", named, true, "it changes what a script prints", "php_admin_value[output_handler] ="},
	{"session.auto_start", on, false, "each event waits for the session, which other tabs of the visitor lock", "php_admin_flag[session.auto_start] = off"},
	{"session.cache_limiter", public, false, "PHP says of pages with a session that anyone may keep them", "php_admin_value[session.cache_limiter] = nocache"},
	{"opcache.enable", off, false, "PHP compiles the script for each event", "php_admin_flag[opcache.enable] = on"},
}

func on(v string) bool {
	return v != "" && v != "0" && !strings.EqualFold(v, "off") && !strings.EqualFold(v, "stderr")
}
func off(v string) bool     { return v == "" || v == "0" || strings.EqualFold(v, "off") }
func public(v string) bool  { return v == "public" }
func named(v string) bool   { return v != "" && !strings.EqualFold(v, "none") }
func unnamed(v string) bool { return !strings.HasPrefix(strings.ToLower(v), "ws-failed:") }

// file reports whether errors go to a file. PHP-FPM puts its prefix before an empty value:
// that is a folder, which PHP cannot write to, so that it sends them over FastCGI.
func file(v string) bool { return v != "" && !strings.HasSuffix(v, "/") }

// status is that of a finding about the directive.
func (d *directive) status() Status {
	if d.fault {
		return Fault
	}
	return Warning
}

// sentence says what a value in a pool or a file does.
func (d *directive) sentence(where, value string) string {
	return fmt.Sprintf("%s of %s is %q: %s", d.name, where, value, d.text)
}

// phpCures have a line for each directive.
func phpCures() map[string]cure {
	cures := map[string]cure{
		"post_max_size": {anyProxy: poolLine + "php_admin_value[post_max_size] = {limit}"},
		"xdebug":        {anyProxy: "phpdismod -s fpm xdebug && systemctl reload 'php*-fpm'"},
		"opcache":       {anyProxy: "phpenmod -s fpm opcache && systemctl reload 'php*-fpm'"},
	}
	for _, d := range directives {
		cures[d.name] = cure{anyProxy: poolLine + d.line}
	}
	return cures
}

// poolLine says where the line of a cure belongs.
const poolLine = "; PHP-FPM, in the pool\n"

// probeFiles are where installations put the probe.
var probeFiles = []string{"/usr/share/wsfpm/probe.php", "/usr/local/share/wsfpm/probe.php"}

// probed is the answer of deploy/php-fpm/probe.php.
type probed struct {
	Probe, Version  string
	INI             map[string]*string
	Access          map[string]int // who may change a directive, as ini_get_all says
	Xdebug, OPcache bool
}

// php asks each pool for its settings, by a script of root that is no part of the site.
func php(ctx context.Context, v *visit) (found []finding) {
	if v.Config == nil {
		return []finding{notRun("%s", needsConfig)}
	}
	script := v.Probe
	for _, name := range probeFiles {
		if _, err := os.Stat(name); script == "" && err == nil {
			script = name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Config.FPM)) {
		pool := v.Config.FPM[name]
		p, err := probe(ctx, pool, cmp.Or(script, probeFiles[0]))
		if err != nil {
			found = append(found, notRun("pool %s: %v", name, err))
			continue
		}
		found = append(found, v.judge(pool, p)...)
	}
	return found
}

// probe runs the probe on a pool. An error says why there is no answer.
func probe(ctx context.Context, pool *config.FPM, script string) (p probed, err error) {
	client, err := fcgi.NewPool(fcgi.Config{Network: pool.Network, Address: pool.Addr, MaxConnections: 1, QueueWait: patience, Timeout: patience})
	if err != nil {
		return p, err
	}
	defer func() { _ = client.Close(ctx) }() // the result is known
	names := []string{"post_max_size", "user_ini.filename"}
	for _, d := range directives {
		names = append(names, d.name)
	}
	token := rand.Text()
	env, err := fcgi.NewEnv(map[string]string{
		"SCRIPT_FILENAME": script, "SCRIPT_NAME": "/probe.php", "REQUEST_METHOD": "GET", "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1",
		"REDIRECT_STATUS": "200", "WSFPM_PROBE": token, "WSFPM_PROBE_INI": strings.Join(names, " "),
	})
	if err != nil {
		return p, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	response, err := client.Do(ctx, &fcgi.Request{Env: env})
	if err != nil {
		return p, err
	}
	text, err := response.ReadAll()
	if err != nil {
		return p, err
	}
	if json.Unmarshal(text, &p) != nil || p.Probe != token {
		return p, fmt.Errorf("PHP-FPM does not run %s (status %d): it is not installed there, or PHP-FPM has a chroot or open_basedir, or runs on another machine", script, response.Status)
	}
	return p, nil
}

// judge compares a pool's settings with what events need.
func (v *visit) judge(pool *config.FPM, p probed) (found []finding) {
	for _, d := range directives {
		if value := p.INI[d.name]; value != nil && d.wrong(*value) {
			found = append(found, finding{d.status(), d.name, d.sentence("pool "+pool.Name, *value)})
		}
	}
	found = append(found, v.userINI(pool, p)...)
	longest := int64(0)
	for _, route := range v.Config.Routes {
		if slices.Contains(route.Pools(), pool.Name) {
			longest = max(longest, int64(route.MessageLimit))
		}
	}
	if text := p.INI["post_max_size"]; text != nil {
		if post, known := poolfile.INISize(*text); known && post > 0 && post < longest {
			v.limit = longest
			found = append(found, fault("post_max_size", "post_max_size of pool %s is %s, and message_limit %d: PHP leaves $_POST empty for longer messages", pool.Name, *text, longest))
		}
	}
	if p.Xdebug {
		found = append(found, warning("xdebug", "Xdebug is loaded in pool %s: each event is slower", pool.Name))
	}
	if !p.OPcache {
		found = append(found, warning("opcache", "OPcache is not loaded in pool %s: PHP compiles the script for each event", pool.Name))
	}
	if len(found) == 0 {
		found = append(found, ok("PHP %s in pool %s has what events need", p.Version, pool.Name))
	}
	return found
}
