package doctor

import (
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// proxy is one whose directives are known.
type proxy string

const (
	nginx    proxy = "nginx"
	apache   proxy = "apache"
	haproxy  proxy = "haproxy"
	caddy    proxy = "caddy"
	anyProxy proxy = "" // the cure is the same, or not one of a proxy
)

// Proxies are the names for [Options.Proxy].
var Proxies = []string{string(nginx), string(apache), string(haproxy), string(caddy)}

// where says to which part of its configuration the lines of a proxy belong, unless they
// begin with another place of that proxy.
var where = map[proxy]string{
	nginx:   "# nginx, in the location of {path}",
	apache:  "# Apache, in the virtual host",
	haproxy: "# HAProxy, in the frontend or backend of {path}",
	caddy:   "# Caddy, in the site",
}

// cure has the lines to paste, by proxy. {host}, {path}, {site}, {peer}, {listen},
// {limit} and {to}, which is the gateway's address as the proxy writes it, are replaced.
type cure map[proxy]string

// proxyOf returns the proxy that an answer names. HAProxy and others name themselves nowhere.
func proxyOf(a *answer) proxy {
	named := strings.ToLower(a.header.Get("Server") + " " + a.header.Get("Via"))
	for _, p := range []proxy{nginx, apache, caddy} {
		if strings.Contains(named, string(p)) {
			return p
		}
	}
	if a.status != http.StatusUpgradeRequired && strings.HasPrefix(a.body, "<html><body><h1>") {
		return haproxy
	}
	return ""
}

// fill returns a cure for the proxy on the way; for every one, if it is not known.
func (v *visit) fill(c cure) string {
	if text, same := c[anyProxy]; same {
		return v.replacer("").Replace(text)
	}
	var blocks []string
	for _, name := range Proxies {
		p := proxy(name)
		if text := c[p]; text != "" && (v.proxy == p || v.proxy == "") {
			name, _, _ := strings.Cut(where[p], ",")
			if !strings.HasPrefix(text, name+",") {
				text = where[p] + "\n" + text
			}
			blocks = append(blocks, v.replacer(p).Replace(text))
		}
	}
	return strings.Join(blocks, "\n")
}

// replacer fills the names of a cure.
func (v *visit) replacer(p proxy) *strings.Replacer {
	path := v.url.Path[:strings.LastIndexByte(v.url.Path, '/')+1]
	peer := "10.0.0.1"
	if v.mirror != nil {
		if host, _, err := net.SplitHostPort(v.mirror.Peer); err == nil {
			peer = host
		}
	}
	return strings.NewReplacer("{host}", v.url.Hostname(), "{path}", path, "{site}", v.site(), "{peer}", peer, "{to}", v.backend(p), "{listen}", v.listen(), "{limit}", strconv.FormatInt(v.limit, 10))
}

// listen is the gateway's address, or the usual one.
func (v *visit) listen() string {
	if v.Config == nil || slices.Contains(v.Config.Listen, "systemd") {
		return "unix:/run/wsfpm/ws.sock"
	}
	return v.Config.Listen[0]
}

// backend is the gateway's address in a proxy's own form.
func (v *visit) backend(p proxy) string {
	listen := v.listen()
	file, unix := strings.CutPrefix(listen, "unix:")
	switch {
	case p == nginx && unix:
		return "http://unix:" + file + ":"
	case p == apache && unix:
		return "unix:" + file + "|http://localhost"
	case p == haproxy && unix:
		return "unix@" + file
	case p == caddy && unix:
		return "unix/" + file
	case p == nginx || p == apache:
		return "http://" + listen
	}
	return listen
}

const (
	nginxUpgrade = "proxy_http_version 1.1;\nproxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection \"upgrade\";"
	nginxHost    = "proxy_set_header Host $http_host;"
	nginxScheme  = "proxy_set_header X-Forwarded-Proto $scheme;"
	nginxAddress = "proxy_set_header X-Forwarded-For $remote_addr;"

	apacheUpgrade = "ProxyPass \"{path}\" \"{to}{path}\" upgrade=websocket"
	apacheHost    = "ProxyPreserveHost On"
	apacheScheme  = "RequestHeader set X-Forwarded-Proto \"expr=%{REQUEST_SCHEME}\""
	apacheAddress = "ProxyAddHeaders Off\nRequestHeader set X-Forwarded-For \"expr=%{REMOTE_ADDR}\""

	haproxyScheme  = "http-request set-header X-Forwarded-Proto https if { ssl_fc }"
	haproxyAddress = "http-request set-header X-Forwarded-For %[src]"

	noDirective = "# Delete the line that "
)

var upgradeCures = map[string]cure{
	"upgrade": {nginx: nginxUpgrade, apache: apacheUpgrade,
		haproxy: noDirective + "removes or sets Upgrade or Connection: HAProxy passes both on.",
		caddy:   noDirective + "changes Upgrade or Connection (header_up): reverse_proxy passes both on."},
	"version": {nginx: "proxy_http_version 1.1;", apache: noDirective + "sets force-proxy-request-1.0 (SetEnv).",
		haproxy: "option http-server-close", caddy: "transport http {\n    versions 1.1\n}"},
	"headers": {anyProxy: noDirective + "changes Sec-WebSocket-Key, or use wss:// if the port is one of TLS."},
	"access":  {anyProxy: "# Allow {path} without a password, from all addresses: wsfpm checks the page's origin, and your script the user."},
	"limit":   {anyProxy: "# Raise the proxy's limit, or limits.connections_per_address and limits.accept_rate of wsfpm: its log names the one."},
	"location": {
		nginx:   "# nginx, in the server {host}\nlocation ^~ {path} {\n    proxy_pass {to};\n    " + strings.ReplaceAll(nginxUpgrade+"\n"+nginxHost+"\n"+nginxAddress+"\n"+nginxScheme, "\n", "\n    ") + "\n    proxy_read_timeout 75s;\n}",
		apache:  "<Location \"{path}\">\n    ProxyPass \"{to}{path}\" upgrade=websocket\n    " + strings.ReplaceAll(apacheHost+"\n"+apacheAddress+"\n"+apacheScheme, "\n", "\n    ") + "\n</Location>",
		haproxy: "use_backend wsfpm if { path_beg {path} }",
		caddy:   "handle {path}* {\n    reverse_proxy {to}\n}",
	},
	"route":    {anyProxy: "# Write the proxy's target without a path, so that {path} arrives unchanged, and a route for it in wsfpm.toml:\n[[route]]\npath   = \"{path}{script}\"\nroot   = \"/srv/app/ws\""},
	"redirect": {anyProxy: "# Use the address that the redirect leads to in the page (wss:// where it is https://), or except {path} from it."},
	"full":     {anyProxy: "journalctl -u wsfpm -n 20 --grep 'handshake refused'"},
	"log":      {anyProxy: "# Read the proxy's error log."},
	"silent":   {anyProxy: "# Look whether the proxy runs and the port is open in the firewall, then whether wsfpm answers:\nsystemctl status wsfpm"},
	"backend":  {anyProxy: "systemctl status wsfpm            # does it run?\n# The proxy's target: {listen}\n# In wsfpm.toml, for a unix socket, the group of the proxy's user:\nlisten_mode  = \"0660\"\nlisten_group = \"www-data\""},
}

var originCures = map[string]cure{
	"host": {nginx: nginxHost, apache: apacheHost,
		haproxy: noDirective + "sets Host (http-request set-header Host): HAProxy passes the client's on.",
		caddy:   noDirective + "sets Host (header_up Host): reverse_proxy passes the client's on."},
	"origins": {anyProxy: "# wsfpm.toml, in the route of {path}\norigins = [\"{site}\"]"},
	"any":     {anyProxy: "# wsfpm.toml, in the route of {path}\norigins = [\"{site}\"]"},
}

var schemeCures = map[string]cure{
	"scheme": {nginx: nginxScheme, apache: apacheScheme, haproxy: haproxyScheme,
		caddy: noDirective + "sets X-Forwarded-Proto (header_up): reverse_proxy sends the scheme."},
	"trust": trustCure,
}

var trustCure = cure{anyProxy: "# wsfpm.toml\ntrusted_proxies = [\"127.0.0.1/32\", \"::1/128\", \"unix\", \"{peer}\"]"}

var addressCures = map[string]cure{
	"address": {nginx: nginxAddress, apache: apacheAddress, haproxy: haproxyAddress,
		caddy: noDirective + "sets or removes X-Forwarded-For (header_up): reverse_proxy sends the client's address."},
	"trust": trustCure,
}

var carriedCures = map[string]cure{"carried": {
	nginx:   noDirective + "sets Cookie or Sec-WebSocket-Protocol (proxy_set_header), or write proxy_pass without a path.",
	apache:  noDirective + "changes Cookie or Sec-WebSocket-Protocol (RequestHeader), or the rewriting of the query.",
	haproxy: noDirective + "deletes or sets Cookie or Sec-WebSocket-Protocol (http-request), or the query.",
	caddy:   noDirective + "removes Cookie or Sec-WebSocket-Protocol (header_up), or rewrites the query.",
}}

var compressionCures = map[string]cure{"extensions": {
	nginx:   noDirective + "sets or hides Sec-WebSocket-Extensions (proxy_set_header, proxy_hide_header).",
	apache:  noDirective + "changes Sec-WebSocket-Extensions (RequestHeader, Header).",
	haproxy: noDirective + "deletes Sec-WebSocket-Extensions (http-request, http-response).",
	caddy:   noDirective + "removes Sec-WebSocket-Extensions (header_up, header_down).",
}}

// The time is that of nginx's file in deploy: above ping_interval and pong_timeout.
var silenceCures = map[string]cure{"silence": {
	nginx:   "proxy_read_timeout 75s;\nproxy_send_timeout 75s;",
	apache:  "Timeout 75",
	haproxy: "timeout tunnel 75s",
	caddy:   "# Delete stream_timeout from reverse_proxy: sockets have no time limit by default.",
}}
