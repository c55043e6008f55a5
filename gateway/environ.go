package gateway

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"wsfpm/fcgi"
	"wsfpm/gateway/cookies"
	"wsfpm/gateway/excerpt"
)

// neverPassed are headers that never reach PHP: they belong to the hop or the handshake, or
// would become HTTP_PROXY (httpoxy).
var neverPassed = map[string]bool{
	"Proxy": true, "Redirect-Status": true, "Content-Length": true, "Host": true,
	"Sec-Websocket-Key": true, "Sec-Websocket-Version": true, "Sec-Websocket-Extensions": true,
}

// heldBack are headers that reach PHP only by pass_headers: they request what no answer to
// a message can be (a range, a gzip body), or claim what only a trusted proxy may.
var heldBack = map[string]bool{
	"Accept-Encoding": true, "Range": true, "Forwarded": true, "X-Real-Ip": true,
	"X-Forwarded-Host": true, "X-Forwarded-Port": true, "X-Forwarded-Server": true,
}

// passes reports whether a handshake's header reaches PHP as HTTP_….
func passes(name string, rt *route, c *client, connection []string) bool {
	if !isHeaderName(name) || hopByHop[name] || neverPassed[name] || slices.Contains(connection, name) {
		return false
	}
	if slices.ContainsFunc(rt.PassHeaders, func(s string) bool { return strings.EqualFold(s, name) }) {
		return true
	}
	if name == "X-Forwarded-For" || name == "X-Forwarded-Proto" {
		return c.trusted
	}
	return !heldBack[name] && !strings.HasPrefix(name, "Content-") && !strings.HasPrefix(name, "If-")
}

// isHeaderName accepts letters, digits and "-" only: an underscore becomes the same HTTP_
// name as a hyphen, and could forge it.
func isHeaderName(s string) bool {
	return s != "" && strings.Trim(s, lettersAndDigits+"-") == ""
}

// passedHeaders returns the headers of a handshake that reach PHP.
func passedHeaders(r *http.Request, rt *route, c *client) (http.Header, *refusal) {
	var connection []string // headers that the client declares to be hop-by-hop
	for _, line := range r.Header.Values("Connection") {
		for name := range strings.SplitSeq(line, ",") {
			connection = append(connection, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	passed := make(http.Header)
	for name, values := range r.Header {
		for _, v := range values {
			if strings.ContainsAny(v, "\x00\r\n") {
				return nil, refuse(http.StatusBadRequest, "handshake", "header %s has a control character", excerpt.Of(name))
			}
		}
		if passes(name, rt, c, connection) {
			passed[name] = values
		}
	}
	if cookies := passed["Cookie"]; len(cookies) > 1 {
		passed["Cookie"] = []string{strings.Join(cookies, "; ")}
	}
	return passed, nil
}

// isOwnName reports whether only this file may set a parameter.
func isOwnName(name string) bool {
	switch name {
	case "REQUEST_METHOD", "REQUEST_URI", "REQUEST_SCHEME", "QUERY_STRING", "HTTPS", "PATH_INFO", "PATH_TRANSLATED",
		"PHP_VALUE", "PHP_ADMIN_VALUE", "HTTP_PROXY", "AUTH_TYPE", "PHP_SELF", "ORIG_PATH_INFO", "ORIG_SCRIPT_NAME":
		return true
	}
	for _, prefix := range []string{"WS_", "SCRIPT_", "DOCUMENT_", "REMOTE_", "SERVER_", "GATEWAY_", "REDIRECT_", "CONTENT_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// handshakeEnv returns the parameters of every event of a connection: first those of gofast,
// then, overriding them, those that must be correct.
func (g *Gateway) handshakeEnv(c *connection, r *http.Request, passed http.Header) (map[string]string, error) {
	described := r.Clone(r.Context())
	described.Header = passed
	params, err := fcgi.Params(described, c.script.Value())
	if err != nil {
		return nil, fmt.Errorf("build the handshake's parameters: %w", err)
	}
	maps.DeleteFunc(params, func(name, _ string) bool { return isOwnName(name) })
	rt := c.route()
	c.mixed = !maps.Equal(c.rt.Params, rt.Params) // a reload came in between
	name := scriptName(c.rt.files.configured.documentRoot, c.script.Value())
	set := map[string]string{
		"GATEWAY_INTERFACE": "CGI/1.1",
		"SERVER_PROTOCOL":   r.Proto,
		"SERVER_SOFTWARE":   "wsfpm",
		"REDIRECT_STATUS":   "200",
		"REQUEST_URI":       requestURI(r),
		"QUERY_STRING":      r.URL.RawQuery,
		"SCRIPT_FILENAME":   c.filename(c.paths),
		"SCRIPT_NAME":       name,
		"DOCUMENT_URI":      name,
		"DOCUMENT_ROOT":     c.paths.documentRoot,
		"HTTP_HOST":         r.Host,
		"WS_CONNECTION":     c.id(),
		"WS_NODE":           g.Node(),
		"WS_CONNECTED_AT":   strconv.FormatInt(c.since.Unix(), 10),
	}
	serverParams(set, r, c)
	trace, isNew := traceOf(r)
	if set[traceparent] = trace; isNew {
		delete(params, "HTTP_TRACESTATE") // that of another trace, or of none (3.3.1)
	}
	maps.Copy(params, set)
	maps.Copy(params, rt.Params)
	return params, nil
}

// commonParams are parameters that many connections share: those set by the site, and
// headers that browsers of one kind always send.
var commonParams = []string{
	"DOCUMENT_ROOT", "DOCUMENT_URI", "GATEWAY_INTERFACE", "HTTPS", "REDIRECT_STATUS", "REQUEST_SCHEME", "SCRIPT_FILENAME",
	"SCRIPT_NAME", "SERVER_ADDR", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "SERVER_SOFTWARE", "WS_NODE",
	"HTTP_ACCEPT", "HTTP_ACCEPT_LANGUAGE", "HTTP_CACHE_CONTROL", "HTTP_DNT", "HTTP_HOST", "HTTP_ORIGIN", "HTTP_PRAGMA",
	"HTTP_SEC_FETCH_DEST", "HTTP_SEC_FETCH_MODE", "HTTP_SEC_FETCH_SITE", "HTTP_SEC_GPC", "HTTP_SEC_WEBSOCKET_PROTOCOL",
	"HTTP_USER_AGENT", "HTTP_X_FORWARDED_PROTO",
}

// newEnv encodes the parameters of every event of a connection. The common part is stored
// once per distinct value.
func newEnv(params map[string]string) (*fcgi.Env, error) {
	return fcgi.NewEnv(params, commonParams...)
}

// serverParams sets the parameters of server and client addresses.
func serverParams(set map[string]string, r *http.Request, c *connection) {
	rt := c.route()
	set["SERVER_NAME"] = cmp.Or(rt.ServerName, hostName(r.Host))
	set["SERVER_ADDR"], set["SERVER_PORT"] = "", "80"
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		addr, _ := netip.AddrFromSlice(local.IP)
		set["SERVER_ADDR"], set["SERVER_PORT"] = addr.Unmap().String(), strconv.Itoa(local.Port)
	}
	set["REQUEST_SCHEME"] = "http"
	if c.client.secure {
		set["HTTPS"], set["REQUEST_SCHEME"], set["SERVER_PORT"] = "on", "https", "443"
	}
	if rt.ServerPort != 0 && c.client.unix {
		set["SERVER_PORT"] = strconv.Itoa(rt.ServerPort)
	}
	set["REMOTE_ADDR"], set["REMOTE_PORT"] = c.client.addr.String(), portText(c.client.port)
}

// requestURI returns the request target as the client wrote it, without the scheme and host
// of the absolute form.
func requestURI(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}

// keepCookies stores the cookies of an accepted answer in the connection's parameters:
// after the 101 the browser cannot receive them.
func (c *connection) keepCookies(lines []string) {
	if len(lines) == 0 {
		return
	}
	params := c.env.Params()
	old := params["HTTP_COOKIE"]
	header, ignored := cookies.Set(old, lines, time.Now())
	if ignored > 0 {
		c.log().Warn("cookies ignored", zap.Int("lines", ignored))
	}
	if header == old {
		return
	}
	params["HTTP_COOKIE"] = header
	if header == "" {
		delete(params, "HTTP_COOKIE")
	}
	if err := c.setParams(params); err != nil {
		c.log().Warn("cookies ignored", zap.Error(err))
	}
}

// followLinks changes the script's path to p, the current target of the route's links.
func (c *connection) followLinks(p *paths) error {
	if c.rt.Root != "" && !holds(p.base, filepath.Base(c.script.Value())) {
		return failed("SCRIPT_FILENAME %s does not exist, or a link leads out of the route's root: check the new release", c.filename(p))
	}
	params := c.env.Params()
	params["SCRIPT_FILENAME"], params["DOCUMENT_ROOT"] = c.filename(p), p.documentRoot
	if err := c.setParams(params); err != nil {
		return fmt.Errorf("change the script's path: %w", err)
	}
	c.paths = p
	return nil
}

// setParams replaces the parameters of every event. Those configured for the route override
// them; what an earlier configuration has set stays: c.mixed.
func (c *connection) setParams(params map[string]string) error {
	rt := c.route()
	c.mixed = c.mixed || !maps.Equal(c.rt.Params, rt.Params)
	maps.Copy(params, rt.Params)
	env, err := newEnv(params)
	if err == nil {
		c.env = env
	}
	return err
}
