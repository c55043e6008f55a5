package config

import (
	"fmt"
	"maps"
	"mime"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"wsfpm/session"
)

func (c *Config) checkRoutes(r *report) {
	if len(c.Routes) == 0 && !c.noRoutes {
		r.bad("route", "there is none: write a [[route]] with path and script, or give --script")
	}
	seen := map[string]int{}
	for i, route := range c.Routes {
		key := indexed("route", i+1)
		route.checkPath(r, key)
		route.checkScript(r, key)
		route.checkWords(r, key)
		route.checkHeaders(r, key)
		route.checkBounds(r, key)
		c.checkOnce(r, key, route)
		route.checkCache(r, key)
		c.checkRoutePool(r, key, route)
		hosts := route.Host
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, host := range hosts {
			at := host + " " + route.Path
			if first := seen[at]; first > 0 && first != i+1 {
				r.bad(key+".path", "%q is the path of %s too: give them different paths or hosts", clip(route.Path), indexed("route", first))
				break
			}
			seen[at] = i + 1
		}
	}
}

func (route *Route) checkPath(r *report, key string) {
	key += ".path"
	p := route.Path
	fixed := strings.TrimSuffix(p, "/"+ScriptVar)
	switch {
	case p == AnyPath:
	case p == "":
		r.bad(key, `is missing: write "/ws/chat", or "/ws/{script}" with root`)
	case !strings.HasPrefix(p, "/"):
		r.bad(key, `%q: write "/%s"`, clip(p), clip(p))
	case strings.ContainsAny(fixed, "{}"):
		r.bad(key, `%q: only a last part {script} can vary, as in "/ws/{script}"`, clip(p))
	case strings.ContainsAny(p, "?#*%\\\x00"):
		r.bad(key, "%q: write the plain path, without ? # * %% and backslashes", clip(p))
	case fixed != "" && !cleanURLPath(fixed):
		r.bad(key, "%q: write it without empty parts, . and ..", clip(p))
	}
}

// checkScript checks script and root, and derives the document root.
func (route *Route) checkScript(r *report, key string) {
	varies := strings.HasSuffix(route.Path, "/"+ScriptVar)
	switch {
	case varies && route.Root == "":
		r.bad(key+".root", "is missing: write the folder in which {script} lies")
	case varies && route.Script != "":
		r.bad(key+".script", "cannot be combined with {script} in path: remove one of them")
	case !varies && route.Script == "":
		r.bad(key+".script", "is missing: write the PHP file, or {script} as the path's last part and root")
	case !varies && route.Root != "":
		r.bad(key+".root", "is for paths that end in /{script}: remove it, or write such a path")
	}
	if route.Script != "" {
		r.folder(key+".script", route.Script)
	}
	if route.Root != "" {
		r.folder(key+".root", route.Root)
	}
	if route.DocumentRoot == "" {
		route.DocumentRoot = route.Root
		if !varies && route.Script != "" {
			route.DocumentRoot = filepath.Dir(route.Script)
		}
		return
	}
	if !r.folder(key+".document_root", route.DocumentRoot) {
		return
	}
	for _, file := range []string{route.Script, route.Root} {
		if file != "" && !within(route.DocumentRoot, file) {
			r.bad(key+".document_root", "%q does not hold %q: write a folder above it", clip(route.DocumentRoot), clip(file))
		}
	}
}

// folder reports a path that is not absolute and clean.
func (r *report) folder(key, file string) bool {
	switch {
	case !filepath.IsAbs(file):
		r.bad(key, "%q is not absolute: write the whole path, as PHP-FPM sees it", clip(file))
	case strings.ContainsFunc(file, func(c rune) bool { return c < ' ' || c == 0x7f }):
		r.bad(key, "%q has a control character", clip(file))
	case filepath.Clean(file) != strings.TrimSuffix(file, "/") && file != "/":
		r.bad(key, "%q: write %q", clip(file), clip(filepath.Clean(file)))
	default:
		return true
	}
	return false
}

// within reports whether a file is in a folder, or the folder itself.
func within(folder, file string) bool {
	rel, err := filepath.Rel(folder, file)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// checkWords checks the keys with a fixed set of values.
func (route *Route) checkWords(r *report, key string) {
	if len(route.Events) == 0 {
		r.bad(key+".events", `is empty: write ["connect", "message", "disconnect"] or some of them`)
	}
	for _, event := range route.Events {
		r.oneOf(key+".events", event, EventConnect, EventMessage, EventDisconnect)
	}
	if len(route.Events) > 0 && !slices.Contains(route.Events, EventConnect) && !route.Public {
		r.bad(key+".events", "without connect every client is accepted: add it, or write public = true")
	}
	r.oneOf(key+".on_error", route.OnError, OnErrorKeep, OnErrorMessage, OnErrorClose)
	if route.OnError == OnErrorMessage && route.ErrorMessage == "" {
		r.bad(key+".error_message", `is missing: on_error = "message" sends it`)
	}
	for name, code := range map[string]int{"expire_code": route.ExpireCode, "slow_code": route.SlowCode} {
		if _, err := session.NewClose(code, ""); err != nil {
			r.bad(key+"."+name, "%v", err)
		}
	}
	r.oneOf(key+".accept", route.Accept, Accept2xx, AcceptHeader)
	for _, status := range route.AnswerStatuses {
		if !answerStatus(status) {
			r.bad(key+".answer_statuses", `%q: write a class, "3xx", "4xx" or "5xx", or a status, such as "422"`, clip(status))
		}
	}
	kind, _, err := mime.ParseMediaType(route.ContentType)
	switch {
	case err != nil || !strings.Contains(kind, "/") || !headerValue(route.ContentType):
		r.bad(key+".content_type", `%q is not a media type: write "text/plain; charset=utf-8", "application/json" or the like`, clip(route.ContentType))
	case strings.EqualFold(kind, "multipart/form-data"):
		r.bad(key+".content_type", "multipart/form-data leaves php://input empty: write application/x-www-form-urlencoded or application/json")
	}
}

// answerStatus reports whether s names statuses other than 2xx.
func answerStatus(s string) bool {
	if len(s) != 3 || s[0] < '3' || s[0] > '5' {
		return false
	}
	if s[1:] == "xx" {
		return true
	}
	return s[1] >= '0' && s[1] <= '9' && s[2] >= '0' && s[2] <= '9'
}

// checkHeaders checks the keys about headers and parameters.
func (route *Route) checkHeaders(r *report, key string) {
	r.hosts(key+".host", route.Host)
	for i, origin := range route.Origins {
		plain, why := plainOrigin(origin)
		if why != "" {
			r.bad(key+".origins", "%q: %s", clip(origin), why)
			continue
		}
		route.Origins[i] = plain
	}
	for _, protocol := range route.Protocols {
		switch {
		case !token(protocol):
			r.bad(key+".protocols", "%q is not a subprotocol: write letters, digits and any of !#$%%&'*+-.^_`|~", clip(protocol))
		case strings.HasPrefix(strings.ToLower(protocol), "wsfpm."):
			r.bad(key+".protocols", "%q: names that begin with wsfpm. are ours", clip(protocol))
		}
	}
	for _, name := range route.PassHeaders {
		if !token(name) {
			r.bad(key+".pass_headers", "%q is not a header's name", clip(name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(route.Params)) {
		if why := badParam(name, route.Params[name]); why != "" {
			r.bad(key+".params."+name, "%s", why)
		}
	}
	if !headerValue(route.ServerName) || strings.Contains(route.ServerName, " ") {
		r.bad(key+".server_name", "%q is not a host name", clip(route.ServerName))
	}
	if route.ServerPort < 0 || route.ServerPort > 65535 {
		r.bad(key+".server_port", "%d: write 1 to 65535, or 0", route.ServerPort)
	}
}

// maxParam is the longest parameter with its name, in bytes.
const maxParam = 60 << 10

// badParam returns why a FastCGI parameter may not be set, or "".
func badParam(name, value string) string {
	upper := strings.ToUpper(name)
	switch {
	case upper == "PHP_VALUE" || upper == "PHP_ADMIN_VALUE":
		return "would stay with the PHP worker for every later request: set it in the pool's own file"
	case strings.HasPrefix(upper, "WS_"):
		return "names that begin with WS_ are ours: choose another"
	case upper == "CONTENT_LENGTH":
		return "is computed: a wrong one would mix up requests"
	case !token(name):
		return "is not a parameter's name: write capitals, digits and underscores"
	case len(name)+len(value) > maxParam:
		return fmt.Sprintf("has %d bytes: no parameter of FastCGI may fill a record of 64 KiB, so write at most %d", len(value), maxParam-len(name))
	case strings.ContainsAny(value, "\x00\r\n"):
		return "has a NUL or a line break in its value"
	}
	return ""
}

// hosts checks host names and normalizes them.
func (r *report) hosts(key string, names []string) {
	for i, host := range names {
		u, err := url.Parse("//" + host)
		if err != nil || strings.TrimSuffix(host, ".") == "" || u.Host != host || u.Port() != "" || strings.ContainsAny(host, "*{} ") {
			r.bad(key, `%q: write a host name without scheme and port, such as "example.com"`, clip(host))
			continue
		}
		plain, err := asciiHost(strings.TrimSuffix(host, "."))
		if err != nil {
			r.bad(key, "%v", err)
			continue
		}
		names[i] = plain
	}
}

// checkBounds checks sizes and times.
func (route *Route) checkBounds(r *report, key string) {
	r.positive(key+".message_limit", int64(route.MessageLimit), `a size, such as "64KiB"`)
	r.positive(key+".answer_limit", int64(route.AnswerLimit), `a size, such as "16MiB"`)
	r.positive(key+".timeout", int64(route.Timeout), `a duration, such as "30s"`)
	r.positive(key+".stream_timeout", int64(route.StreamTimeout), `a duration, such as "10m"`)
	r.positive(key+".resume_age", int64(route.ResumeAge), `a duration, such as "10m", or resume = false`)
	if route.GapMessage != "" && !route.Resume {
		r.bad(key+".gap_message", "is sent on routes with resume = true only")
	}
}

// checkOnce checks for how long the ids of messages are kept.
func (c *Config) checkOnce(r *report, key string, route *Route) {
	switch {
	case route.Once == 0:
	case route.Once < 0:
		r.bad(key+".once", `%v: write a duration, such as "2m", or "0s"`, route.Once)
	case route.Once < 2*route.Timeout:
		r.bad(key+".once", "%v is less than twice timeout, %v: the id of a message would be forgotten while PHP may still run", route.Once, route.Timeout)
	case c.Redis.URL == "":
		r.bad(key+".once", "keeps the ids of messages in Redis: write redis.url, or remove it")
	default:
		c.checkSlot(r, key+".once")
	}
	if route.OnceAnswer < 0 {
		r.bad(key+".once_answer", `%v: write a size, such as "16KiB"`, route.OnceAnswer)
	}
}

// minCache is the smallest cache, in which an answer of 5 KiB has room.
const minCache = 256 << 10

// checkCache checks the cache of answers.
func (route *Route) checkCache(r *report, key string) {
	if route.Cache != 0 && route.Cache < minCache {
		r.bad(key+".cache", "%v: write at least %v, or 0: one answer may take a sixteenth of it", route.Cache, Size(minCache))
	}
	for _, part := range route.CacheKey {
		r.oneOf(key+".cache_key", part, CacheUser, CacheState, CacheChannels)
	}
	if route.Cache > 0 && route.CacheMaxAge <= 0 {
		r.bad(key+".cache_max_age", `0: nothing would be kept: write a duration, such as "60s", or cache = 0`)
	}
}

// checkRoutePool finds the route's pools: those it names, "default", or the only
// one there is.
func (c *Config) checkRoutePool(r *report, key string, route *Route) {
	names := slices.Sorted(maps.Keys(c.FPM))
	if route.FPM == "" {
		route.FPM = DefaultPool
		if len(names) == 1 {
			route.FPM = names[0]
		}
	}
	for i, name := range route.Pools() {
		if slices.Contains(route.Pools()[:i], name) {
			r.bad(key+".fpm", "%q is there twice: an event is offered to each pool once", clip(name))
		}
		if c.FPM[name] != nil {
			continue
		}
		hint := fmt.Sprintf("write [fpm.%s] with its address", clip(name))
		if len(names) > 0 {
			hint += ", or one of " + strings.Join(names, ", ")
		}
		r.bad(key+".fpm", "there is no pool %q: %s", clip(name), hint)
	}
}

// token reports whether s is a token of HTTP (RFC 9110, 5.6.2).
func token(s string) bool {
	for i := range len(s) {
		b := s[i]
		letter := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(b)) {
			return false
		}
	}
	return s != ""
}

// headerValue reports whether s can stand in a header.
func headerValue(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}
