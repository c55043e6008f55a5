package deploy

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// A behind is what stands behind a proxy: a site's pages with PHP, and a gateway.
type behind struct {
	dir   string // of the certificate
	pages string // the web folder
	fpm   *stack.FPMServer
	nodes *stack.GatewayServer
	roots *x509.CertPool
	web   string // HOST:PORT of a web server for the pages
}

// A proxy is one that the project has a file for.
type proxy struct {
	name  string
	file  string
	tcp   bool   // wsfpm listens on TCP for it
	quiet string // a line in place of which
	brief string // this one makes the longest silence of a socket 3 s; "" where there is no such thing
	start func(t *testing.T, b behind, conf string) string
}

// patience is the silence of the brief lines, in seconds.
const patience = 3

var proxies = []proxy{
	{name: "nginx", file: "deploy/nginx/wsfpm.conf", quiet: "proxy_read_timeout 75s;", brief: "proxy_read_timeout 3s;", start: nginxFront},
	{name: "apache", file: "deploy/proxies/apache.conf", quiet: "SSLEngine on", brief: "SSLEngine on\nTimeout 3", start: apacheFront},
	{name: "haproxy", file: "deploy/proxies/haproxy.cfg", tcp: true, quiet: "timeout tunnel 75s", brief: "timeout tunnel 3s", start: haproxyFront},
	{name: "caddy", file: "deploy/proxies/Caddyfile", start: caddyFront},
}

// edit replaces each text of a file, in pairs; each must be there.
func edit(t *testing.T, conf string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(conf, pairs[i]) {
			t.Fatalf("the file has no %q", pairs[i])
		}
		conf = strings.ReplaceAll(conf, pairs[i], pairs[i+1])
	}
	return conf
}

func (b behind) socket() string { return strings.TrimPrefix(b.nodes.Listen, "unix:") }

func nginxFront(t *testing.T, b behind, conf string) string {
	conf = regexp.MustCompile(`(?m)^\s*#?\s*listen\s+(\[::\]|80;).*\n`).ReplaceAllString(conf, "")
	conf = regexp.MustCompile(`(?m)^(\s*)#\s+(listen 443|ssl_)`).ReplaceAllString(conf, "$1$2")
	return stack.Nginx(t, edit(t, conf, "listen 443 ssl http2", "listen LISTEN ssl http2", "/run/wsfpm/ws.sock", b.socket(),
		"/etc/letsencrypt/live/example.com/fullchain.pem", b.dir+"/cert.pem", "/etc/letsencrypt/live/example.com/privkey.pem", b.dir+"/key.pem",
		"/srv/app/public", b.pages, "/run/php/php8.2-fpm.sock", b.fpm.Socket, "/var/log/nginx", "DIR",
		"include fastcgi_params", "include /etc/nginx/fastcgi_params")).Addr
}

func apacheFront(t *testing.T, b behind, conf string) string {
	return stack.Apache(t, edit(t, conf, "*:443", "LISTEN", "/run/wsfpm/ws.sock", b.socket(),
		"/etc/letsencrypt/live/example.com/fullchain.pem", b.dir+"/cert.pem", "/etc/letsencrypt/live/example.com/privkey.pem", b.dir+"/key.pem",
		"/srv/app/public", b.pages, "/run/php/php8.2-fpm.sock", b.fpm.Socket)).Addr
}

func haproxyFront(t *testing.T, b behind, conf string) string {
	if os.Geteuid() != 0 { // only root can become another user
		conf = edit(t, conf, "user haproxy", "", "group haproxy", "", "chroot /var/lib/haproxy", "")
	}
	return stack.HAProxy(t, edit(t, conf, ":443", "LISTEN", "maxconn 20000", "maxconn 1000", "/etc/haproxy/certs/example.com.pem", b.dir+"/both.pem",
		"127.0.0.1:8080", b.nodes.Listen, "127.0.0.1:8000", b.web)).Addr
}

func caddyFront(t *testing.T, b behind, conf string) string {
	return stack.Caddy(t, "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"+edit(t, conf,
		"example.com {", "https://example.com:PORT {\n\tbind 127.0.0.1\n\ttls "+b.dir+"/cert.pem "+b.dir+"/key.pem",
		"unix//run/wsfpm/ws.sock", "unix/"+b.socket(), "/srv/app/public", b.pages, "unix//run/php/php8.2-fpm.sock", "unix/"+b.fpm.Socket)).Addr
}

// site starts what stands behind a proxy. Its gateway pings as told.
func site(t *testing.T, p proxy, ping string) behind {
	t.Helper()
	b := behind{dir: stack.TempDir(t), pages: stack.TempDir(t)}
	b.roots = stack.Certificate(t, b.dir, "example.com")
	write(t, filepath.Join(b.pages, "index.php"), "<?php echo 'front ', $_SERVER['REQUEST_URI'];")
	write(t, filepath.Join(b.pages, "page.txt"), "a page")
	// Apache's children are www-data.
	b.fpm = stack.FPM(t, stack.FPMOptions{Pool: map[string]string{"listen.mode": "0666"}})
	scripts := stack.Scripts(t, map[string]string{"user.php": "if ($_SERVER['WS_EVENT'] === 'connect') http_response_code(401);"})
	listen := "unix:" + filepath.Join(b.dir, "ws.sock")
	if p.tcp {
		listen = stack.FreeAddress(t)
		b.web = stack.Nginx(t, "server { listen LISTEN; root "+b.pages+"; location = / { fastcgi_pass unix:"+b.fpm.Socket+
			"; include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME $document_root/index.php; } }").Addr
	}
	b.nodes = stack.Gateway(t, stack.GatewayOptions{Listen: listen, FPM: b.fpm,
		Top:    "listen_mode = \"0666\"\ntrusted_proxies = [\"127.0.0.1/32\", \"unix\"]",
		Limits: fmt.Sprintf("ping_interval = %q\nconnections_per_address = 0", ping),
		Routes: fmt.Sprintf("[[route]]\npath = \"/ws/{script}\"\nroot = %q\nmessage_limit = \"2MiB\"\n", scripts)})
	return b
}

// through starts a proxy with its file, and returns what a client of the site needs.
func (p proxy) through(t *testing.T, b behind, conf string) stack.DialOptions {
	t.Helper()
	return stack.DialOptions{Addr: p.start(t, b, conf), Roots: b.roots, Origin: "https://example.com", From: "127.0.0.2"}
}

func eachProxy(t *testing.T, test func(t *testing.T, p proxy)) {
	stack.Integration(t)
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			test(t, p)
		})
	}
}

func TestTheSiteWorksThroughEachProxy(t *testing.T) {
	eachProxy(t, func(t *testing.T, p proxy) {
		b := site(t, p, "25s")
		opt := p.through(t, b, read(t, p.file))
		c := stack.Dial(t, "wss://example.com/ws/echo", opt)
		c.Send("hi")
		c.Expect("hi")
		large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		c.SendBinary(large)
		c.ExpectBinary(large)
		c.Send(strings.Repeat("x", 1<<20))
		c.Expect(strings.Repeat("x", 1<<20))
		c.Close(1000, "bye")

		opt.Header = http.Header{"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Proto": {"gopher"}, "X-Real-Ip": {"6.6.6.6"},
			"Forwarded": {"for=6.6.6.6"}, "X-Forwarded-Host": {"evil.example"}, "Cookie": {"who=ann"}}
		e := stack.Dial(t, "wss://example.com/ws/dump?a=b%2Fc&d=%20", opt).NextEvent()
		for name, want := range map[string]string{"REMOTE_ADDR": "127.0.0.2", "HTTPS": "on", "REQUEST_SCHEME": "https", "HTTP_HOST": "example.com",
			"SERVER_NAME": "example.com", "HTTP_COOKIE": "who=ann", "HTTP_ORIGIN": "https://example.com", "REQUEST_URI": "/ws/dump?a=b%2Fc&d=%20"} {
			if got := e.Var(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		for name := range e.Server {
			if value := e.Var(name); strings.Contains(value, "6.6.6.6") || strings.Contains(value, "evil") {
				t.Errorf("a client forged %s=%s", name, value)
			}
		}
		p.refuses(t, opt)
		p.pages(t, opt)
		if n := len(b.nodes.LogLines("warn", "proxy_set_header")); n != 0 {
			t.Errorf("wsfpm finds the proxy wanting:\n%s", b.nodes.LogText())
		}
	})
}

// refuses checks that refusals of wsfpm and of PHP pass a proxy as they are.
func (p proxy) refuses(t *testing.T, opt stack.DialOptions) {
	t.Helper()
	opt.Header = nil
	if got := stack.Refused(t, "wss://example.com/ws/user", opt); got.Status != 401 {
		t.Errorf("refused by PHP: got %d, want 401", got.Status)
	}
	if got := stack.Refused(t, "wss://example.com/ws/none", opt); got.Status/100 == 2 {
		t.Errorf("no such script: got %d", got.Status)
	}
	opt.Origin = "https://evil.example"
	if got := stack.Refused(t, "wss://example.com/ws/echo", opt); got.Status != 403 {
		t.Errorf("a foreign origin: got %d, want 403", got.Status)
	}
	opt.Origin = "http://example.com"
	if got := stack.Refused(t, "wss://example.com/ws/echo", opt); got.Status != 403 {
		t.Errorf("a plain page of an encrypted site: got %d, want 403", got.Status)
	}
}

// pages checks that the rest of the site is there, in both versions of HTTP.
func (p proxy) pages(t *testing.T, opt stack.DialOptions) {
	t.Helper()
	for path, want := range map[string]string{"/": "front /", "/page.txt": "a page"} {
		resp := overHTTP(t, opt, mustRequest(t, "GET", path, nil))
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 || string(text) != want {
			t.Errorf("%s: got %d %q, want %q", path, resp.StatusCode, text, want)
		}
	}
	if resp := overHTTP(t, opt, mustRequest(t, "GET", "/ws/echo", nil)); resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("a socket opened as a page: got %d, want 426", resp.StatusCode)
	}
}

func mustRequest(t *testing.T, method, path string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://example.com"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// overHTTP sends a request to a proxy, over HTTP/2 where it can.
func overHTTP(t *testing.T, opt stack.DialOptions, r *http.Request) *http.Response {
	t.Helper()
	transport := stack.Transport(opt)
	transport.ForceAttemptHTTP2 = true
	t.Cleanup(transport.CloseIdleConnections)
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// A silence longer than what the proxy bears ends a socket, unless wsfpm pings.
func TestPingsKeepAQuietSocketOpen(t *testing.T) {
	eachProxy(t, func(t *testing.T, p proxy) {
		conf := read(t, p.file)
		if p.brief != "" {
			conf = edit(t, conf, p.quiet, p.brief)
			silent := stack.Dial(t, "wss://example.com/ws/echo", p.through(t, site(t, p, "0s"), conf))
			silent.ExpectBroken()
		}
		c := stack.Dial(t, "wss://example.com/ws/echo", p.through(t, site(t, p, "500ms"), conf))
		// Each comes after 450 ms at the earliest.
		stack.Wait(t, "pings for twice that time", func() bool { return c.Pings.Load() >= 2*patience*1000/450+1 })
		c.Send("still here")
		c.Expect("still here")
	})
}

// A real browser speaks HTTP/2 to the pages. Only HAProxy offers it for sockets too (RFC 8441);
// through the others the browser opens a connection of HTTP/1.1 for each socket.
func TestABrowserSpeaksThroughEachProxy(t *testing.T) {
	stack.Integration(t)
	node := stack.Tool(t, "nodejs", "node")
	stack.Tool(t, "chromium", "chromium")
	for _, p := range proxies {
		t.Run(p.name, func(t *testing.T) {
			opt := p.through(t, site(t, p, "25s"), read(t, p.file))
			out, err := run(t, exec.CommandContext(t.Context(), node, "test/deploy/testdata/proxy.mjs", opt.Addr))
			want := "101\necho\n"
			if p.name == "haproxy" {
				want = "200\necho\n"
			}
			if err != nil || out != want {
				t.Errorf("got %q, %v, want %q", out, err, want)
			}
		})
	}
}
