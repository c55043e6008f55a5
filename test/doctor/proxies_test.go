package doctor

import (
	"net"
	"strings"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

const apacheRight = `
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
Listen PLAIN
<VirtualHost PLAIN>
    ServerName example.test
    Redirect permanent / https://example.test/
</VirtualHost>
<VirtualHost LISTEN>
    ServerName example.test
    SSLEngine on
    SSLCertificateFile    SITE/right.pem
    SSLCertificateKeyFile SITE/right-key.pem
    <Location "/ws/">
        ProxyPass "unix:SITE/ws.sock|http://localhost/ws/" upgrade=websocket
        ProxyPreserveHost On
        ProxyAddHeaders Off
        RequestHeader set X-Forwarded-For   "expr=%{REMOTE_ADDR}"
        RequestHeader set X-Forwarded-Proto "expr=%{REQUEST_SCHEME}"
    </Location>
</VirtualHost>
`

var apacheMistakes = []mistake{
	{name: "no upgrade", old: " upgrade=websocket", check: "upgrade", cure: "|http://localhost/ws/\" upgrade=websocket"},
	{name: "no host", old: "ProxyPreserveHost On", check: "host", cure: "ProxyPreserveHost On"},
	{name: "no scheme", old: `RequestHeader set X-Forwarded-Proto "expr=%{REQUEST_SCHEME}"`, check: "scheme", cure: "RequestHeader set X-Forwarded-Proto"},
	{name: "the address that the client names", old: `RequestHeader set X-Forwarded-For   "expr=%{REMOTE_ADDR}"`, check: "client address", cure: "RequestHeader set X-Forwarded-For"},
	{name: "a wrong socket", old: "/ws.sock", new: "/other.sock", check: "upgrade", cure: "listen_group"},
	{name: "no location", old: `<Location "/ws/">`, new: `<Location "/sockets/">`, check: "upgrade", cure: `<Location "/ws/">`},
	{name: "another path", old: "localhost/ws/", new: "localhost/", check: "upgrade", cure: "[[route]]"},
	{name: "a short patience", old: "SSLEngine on", new: "SSLEngine on\nTimeout 1", check: "silence", cure: "Timeout 75", args: []string{"--silence", "5s"}},
	{name: "no cookies", old: "ProxyPreserveHost On", new: "ProxyPreserveHost On\nRequestHeader unset Cookie", check: "cookies", cure: "Cookie"},
	{name: "nothing allowed", old: "ProxyPreserveHost On", new: "ProxyPreserveHost On\nRequire all denied", check: "upgrade", cure: "Allow /ws/"},
	{name: "no redirect", old: "Redirect permanent / https://example.test/", check: "redirect", status: "warning", cure: "Redirect permanent / https://example.test/"},
	{name: "an old certificate", old: "/right", new: "/old", check: "tls", cure: "certbot renew"},
}

const haproxyRight = `
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout tunnel 75s
frontend plain
    bind PLAIN
    http-request redirect scheme https code 301
frontend site
    bind LISTEN ssl crt SITE/right-both.pem
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto https
    use_backend wsfpm if { path_beg /ws/ }
    default_backend pages
backend wsfpm
    server one unix@SITE/ws.sock
backend pages
    http-request return status 200 content-type text/plain string page
`

var haproxyMistakes = []mistake{
	{name: "no scheme", old: "http-request set-header X-Forwarded-Proto https", check: "scheme", cure: "http-request set-header X-Forwarded-Proto https"},
	{name: "the address that the client names", old: "http-request set-header X-Forwarded-For %[src]", check: "client address", cure: "http-request set-header X-Forwarded-For %[src]"},
	{name: "another host", old: "use_backend", new: "http-request set-header Host localhost\nuse_backend", check: "host", cure: "http-request set-header Host"},
	{name: "a short patience", old: "timeout tunnel 75s", new: "timeout tunnel 1s", check: "silence", cure: "timeout tunnel 75s", args: []string{"--silence", "5s"}},
	{name: "a wrong socket", old: "/ws.sock", new: "/other.sock", check: "upgrade", cure: "listen_group"},
	{name: "no rule", old: "use_backend wsfpm if { path_beg /ws/ }", check: "upgrade", cure: "use_backend wsfpm if { path_beg /ws/ }"},
	{name: "no redirect", old: "http-request redirect scheme https code 301", new: "default_backend pages", check: "redirect", status: "warning", cure: "redirect scheme https"},
}

const caddyRight = `{
	admin off
	auto_https disable_redirects
}
http://example.test:FREE {
	bind 127.0.0.1
	redir https://{host}{uri} permanent
}
https://example.test:PORT {
	bind 127.0.0.1
	tls SITE/right.pem SITE/right-key.pem
	handle /ws/* {
		reverse_proxy unix/SITE/ws.sock {
			# more
		}
	}
	handle {
		respond "a page"
	}
}
`

var caddyMistakes = []mistake{
	{name: "another host", old: "# more", new: "header_up Host localhost", check: "host", cure: "header_up Host"},
	{name: "a wrong scheme", old: "# more", new: "header_up X-Forwarded-Proto http", check: "scheme", cure: "X-Forwarded-Proto"},
	{name: "no address", old: "# more", new: "header_up -X-Forwarded-For", check: "client address", cure: "X-Forwarded-For"},
	{name: "no cookies", old: "# more", new: "header_up -Cookie", check: "cookies", cure: "Cookie"},
	{name: "a wrong socket", old: "/ws.sock", new: "/other.sock", check: "upgrade", cure: "listen_group"},
	{name: "another path", old: "/ws/*", new: "/sockets/*", check: "upgrade", cure: "handle /ws/* {\n    reverse_proxy unix/"},
	{name: "no redirect", old: "redir https://{host}{uri} permanent", new: "respond hello", check: "redirect", status: "warning", cure: "auto_https"},
}

// start starts a proxy with the site behind it.
func (s *site) start(t *testing.T, run func(stack.T, string) *stack.FrontServer, conf string) front {
	t.Helper()
	plain := stack.FreeAddress(t)
	_, port, err := net.SplitHostPort(plain)
	if err != nil {
		t.Fatal(err)
	}
	return front{run(t, strings.NewReplacer("PLAIN", plain, "FREE", port, "SITE", s.dir).Replace(conf)).Addr, plain}
}

func TestApache(t *testing.T)  { proxyMistakes(t, stack.Apache, apacheRight, apacheMistakes) }
func TestHAProxy(t *testing.T) { proxyMistakes(t, stack.HAProxy, haproxyRight, haproxyMistakes) }
func TestCaddy(t *testing.T)   { proxyMistakes(t, stack.Caddy, caddyRight, caddyMistakes) }

// proxyMistakes looks at a proxy with the right configuration, and with each mistake.
func proxyMistakes(t *testing.T, run func(stack.T, string) *stack.FrontServer, right string, mistakes []mistake) {
	t.Parallel()
	contract.Row(t, "5.doctor-right", "5.doctor-finds", "5.doctor-php")
	s := newSite(t, "")
	t.Run("right", func(t *testing.T) { clean(t, s.examine(t, s.start(t, run, right)), "dns") })
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			f := s.start(t, run, m.plant(t, right))
			m.only(t, s.examine(t, f, append([]string{"--silence", "100ms"}, m.args...)...))
		})
	}
	s.noRuns(t)
}
