package poolfile

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"wsfpm/gateway/config"
)

// settle is the margin of request_terminate_timeout beyond an event and the idle time
// before it.
const settle = 5 * time.Second

// Compare compares a checked configuration with pools of PHP-FPM. Problems make events
// fail, warnings do not. A pool of the configuration without a counterpart is a warning
// if another has one: each may have its own file.
func Compare(c *config.Config, files []*Pool) (problems, warnings []string) {
	r := &comparison{c: c, files: files}
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(c.FPM)) {
		listens := func(file *Pool) bool { return sameAddress(file.Listen, c.FPM[name]) }
		if !slices.ContainsFunc(files, listens) {
			missing = append(missing, name)
		}
		for _, file := range files {
			if listens(file) {
				r.pool(c.FPM[name], file)
			}
		}
	}
	if len(missing) < len(c.FPM) {
		for _, name := range missing {
			r.warn("fpm.%s is not compared: no pool in the files of --fpm-pool listens on %s", name, c.FPM[name].Address)
		}
		return r.problems, r.warnings
	}
	for _, file := range files {
		listen, address := file.Listen, fpmAddress(file.Listen)
		if relative(listen) {
			listen, address = listen+", relative to PHP-FPM's prefix", "unix:PREFIX/"+filepath.Clean(listen)
		}
		r.bad("PHP-FPM's pool [%s] listens on %s, and no fpm.*.address says so: write address = %q", file.Name, listen, address)
	}
	return r.problems, r.warnings
}

// comparison collects the results of Compare.
type comparison struct {
	c                  *config.Config
	files              []*Pool
	problems, warnings []string
}

func (r *comparison) bad(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

func (r *comparison) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

// pool compares one pool of ours with FPM's.
func (r *comparison) pool(pool *config.FPM, file *Pool) {
	key := "fpm." + pool.Name
	switch {
	case file.Unknown["pm.max_children"]:
	case file.MaxChildren == 0:
		r.warn("[%s] does not set pm.max_children", file.Name)
	case pool.MaxConnections > file.MaxChildren:
		r.bad("%s.max_connections is %d, and pm.max_children of [%s] is %d: events would wait inside FPM, where no timeout of ours sees them; write at most %d",
			key, pool.MaxConnections, file.Name, file.MaxChildren, file.MaxChildren)
	case pool.MaxConnections == file.MaxChildren && !r.hasOther():
		r.warn("%s.max_connections takes all %d workers of [%s]: right for a pool of its own, else the web site stops", key, file.MaxChildren, file.Name)
	}
	if file.PM == "ondemand" {
		r.warn("[%s] has pm = ondemand: the first event after a silence waits for a new worker; static suits a pool of its own", file.Name)
	}
	if !slices.Contains(file.Extensions, ".php") && len(file.Extensions) > 0 {
		r.bad("security.limit_extensions of [%s] leaves out .php", file.Name)
	}
	if file.CatchOutput {
		r.warn("catch_workers_output of [%s] puts what scripts write to stderr into FPM's log too", file.Name)
	}
	r.timeouts(pool, file, key)
	r.reload(pool, file)
	r.ini(pool, file)
}

// hasOther reports whether the files have a pool that is not wsfpm's: the site's own.
func (r *comparison) hasOther() bool {
	return slices.ContainsFunc(r.files, func(file *Pool) bool {
		for _, pool := range r.c.FPM {
			if sameAddress(file.Listen, pool) {
				return false
			}
		}
		return true
	})
}

// timeouts compares request_terminate_timeout, which counts the idle time of a
// kept connection too.
func (r *comparison) timeouts(pool *config.FPM, file *Pool, key string) {
	if file.TerminateTimeout == 0 {
		return
	}
	for i, route := range r.c.Routes {
		if !slices.Contains(route.Pools(), pool.Name) {
			continue
		}
		least := time.Duration(route.Timeout) + time.Duration(pool.IdleTimeout) + settle
		if file.TerminateTimeout < least {
			r.bad("request_terminate_timeout of [%s] is %v: it counts %s.idle_timeout too and would kill workers of route[%d] (timeout %v); write 0, or at least %v",
				file.Name, file.TerminateTimeout, key, i+1, route.Timeout, config.Duration(least))
			continue
		}
		if stream := time.Duration(route.StreamTimeout) + time.Duration(pool.IdleTimeout) + settle; file.TerminateTimeout < stream {
			r.warn("request_terminate_timeout of [%s] is %v: streams of route[%d] end by then, not after stream_timeout (%v)",
				file.Name, file.TerminateTimeout, i+1, route.StreamTimeout)
		}
	}
}

// reload compares process_control_timeout, the time that running scripts have at a reload.
func (r *comparison) reload(pool *config.FPM, file *Pool) {
	var longest time.Duration
	for _, route := range r.c.Routes {
		if slices.Contains(route.Pools(), pool.Name) {
			longest = max(longest, time.Duration(route.Timeout))
		}
	}
	if limit := file.ControlTimeout; limit != nil && *limit < longest {
		r.warn("process_control_timeout of PHP-FPM is %v: a reload kills the scripts of [%s] that run longer, which may take %v; write process_control_timeout = %ds in [global]",
			*limit, file.Name, config.Duration(longest), int((longest + settle).Seconds()))
	}
}

// ini compares the directives of php.ini that the pool sets. Others come from php.ini
// itself, which is not read.
func (r *comparison) ini(pool *config.FPM, file *Pool) {
	// value is a directive that the pool sets to something known.
	value := func(directive string) (value string, set bool) {
		value, set = file.INI[directive]
		return value, set && !file.Unknown[directive]
	}
	if value, _ := value("display_errors"); iniOn(value) || strings.EqualFold(value, "stdout") {
		r.warn("display_errors of [%s] is on: clients may be sent PHP's error pages; write php_admin_flag[display_errors] = off", file.Name)
	}
	if value, ok := value("log_errors"); ok && !iniOn(value) {
		r.warn("log_errors of [%s] is off: the reason why a script failed is lost; write php_admin_flag[log_errors] = on", file.Name)
	}
	switch value, ok := value("error_log"); {
	case file.Unknown["error_log"]:
	case !ok:
		r.warn("[%s] does not set error_log: if php.ini does, wsfpm does not hear of PHP's errors, and a login script that fails may let clients in; write php_admin_value[error_log] =", file.Name)
	case value != "":
		r.warn("error_log of [%s] keeps PHP's errors from wsfpm, which knows a failure by them; write php_admin_value[error_log] =", file.Name)
	}
	switch value, ok := value("fastcgi.error_header"); {
	case file.Unknown["fastcgi.error_header"]:
	case !ok || !strings.HasPrefix(strings.ToLower(value), "ws-failed:"):
		r.warn("[%s] does not set fastcgi.error_header to WS-Failed: then PHP's words alone say that a script died, and a client's words in the log can hide them; "+
			`write php_admin_value[fastcgi.error_header] = "WS-Failed: 1"`, file.Name)
	}
	if value, _ := value("zlib.output_compression"); iniOn(value) || value != "" && strings.Trim(value, "0123456789kKmM") == "" && value != "0" {
		r.warn("zlib.output_compression of [%s] is on: compressed answers are refused; write php_admin_flag[zlib.output_compression] = off", file.Name)
	}
	switch value, ok := value("output_buffering"); {
	case file.Unknown["output_buffering"]:
	case !ok:
		r.warn("[%s] does not set output_buffering: headers after the first 4096 bytes of output are lost with PHP's own value; write php_admin_value[output_buffering] = 65536", file.Name)
	case value == "0" || value == "" || strings.EqualFold(value, "off"):
		r.warn("output_buffering of [%s] is off: a header() after the first echo is lost; write php_admin_value[output_buffering] = 65536", file.Name)
	}
	if value, _ := value("session.cache_limiter"); strings.HasPrefix(strings.ToLower(value), "public") {
		r.limiter(pool, file)
	}
	text, _ := value("post_max_size")
	post, known := INISize(text)
	for i, route := range r.c.Routes {
		if known && post > 0 && slices.Contains(route.Pools(), pool.Name) && int64(route.MessageLimit) > post {
			r.bad("route[%d].message_limit is %v, and post_max_size of [%s] is %s: PHP leaves $_POST empty and logs a warning for longer messages; raise it to %d",
				i+1, route.MessageLimit, file.Name, text, int64(route.MessageLimit))
		}
	}
}

// limiter reports that PHP allows caches to keep what belongs to a session.
func (r *comparison) limiter(pool *config.FPM, file *Pool) {
	for i, route := range r.c.Routes {
		if route.Cache > 0 && slices.Contains(route.Pools(), pool.Name) {
			r.warn("session.cache_limiter of [%s] is public: each script that starts a session says that its answer is for all, also on route[%d] with its cache; write php_admin_value[session.cache_limiter] = nocache", file.Name, i+1)
		}
	}
}

// anyHost is the port of a listen that takes connections to every address of
// the machine.
func anyHost(listen string) (port string, ok bool) {
	for _, host := range []string{"", "0.0.0.0:", "[::]:", "*:"} {
		port, ok = strings.CutPrefix(listen, host)
		if _, err := strconv.ParseUint(port, 10, 16); ok && err == nil {
			return port, true
		}
	}
	return "", false
}

// fpmAddress is FPM's listen as an address of ours.
func fpmAddress(listen string) string {
	if port, ok := anyHost(listen); ok {
		return "tcp:127.0.0.1:" + port
	}
	if strings.HasPrefix(listen, "/") || relative(listen) {
		return "unix:" + filepath.Clean(listen)
	}
	return "tcp:" + listen
}

// sameAddress compares addresses by their parts. A listen for any host takes
// connections to every one, so only the port counts there; the prefix of a relative
// path is not known.
func sameAddress(listen string, pool *config.FPM) bool {
	network, address, _ := strings.Cut(fpmAddress(listen), ":")
	if network != pool.Network {
		return false
	}
	if relative(listen) {
		return strings.HasSuffix(pool.Addr, "/"+address)
	}
	if network == "unix" {
		return config.RealSocket(address) == config.RealSocket(pool.Addr)
	}
	host, port, _ := net.SplitHostPort(address)
	ours, oursPort, _ := net.SplitHostPort(pool.Addr)
	_, any := anyHost(listen)
	return port == oursPort && (any || slices.ContainsFunc(hosts(host), func(h string) bool { return slices.Contains(hosts(ours), h) }))
}

// hosts are the IP addresses that a host stands for, as far as they are known without
// DNS: "localhost" is both of the machine's own (RFC 6761, 6.3).
func hosts(host string) []string {
	if strings.EqualFold(host, "localhost") {
		return []string{"127.0.0.1", "::1"}
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{ip.Unmap().String()}
	}
	return []string{strings.ToLower(host)}
}
