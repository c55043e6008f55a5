package doctor

import (
	"strings"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

const nginxRight = `
server { listen PLAIN; server_name example.test; return 301 https://$host$request_uri; }
server {
    listen LISTEN ssl;
    server_name example.test;
    ssl_certificate     SITE/right.pem;
    ssl_certificate_key SITE/right-key.pem;
    location / { return 200 "a page"; }
    location ^~ /ws/ {
        proxy_pass http://unix:SITE/ws.sock;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_read_timeout 75s;
    }
}`

func nginxFront(t *testing.T, s *site, conf string) front {
	t.Helper()
	plain := stack.FreeAddress(t)
	return front{stack.Nginx(t, strings.NewReplacer("PLAIN", plain, "SITE", s.dir).Replace(conf)).Addr, plain}
}

var nginxMistakes = []mistake{
	{name: "no Upgrade", old: "proxy_set_header Upgrade $http_upgrade;", check: "upgrade", cure: "proxy_set_header Upgrade $http_upgrade;"},
	{name: "no Connection", old: "proxy_set_header Connection \"upgrade\";", check: "upgrade", cure: "proxy_set_header Connection \"upgrade\";"},
	{name: "HTTP/1.0", old: "proxy_http_version 1.1;", check: "upgrade", cure: "proxy_http_version 1.1;"},
	{name: "no Host", old: "proxy_set_header Host $http_host;", check: "host", cure: "proxy_set_header Host $http_host;"},
	{name: "no scheme", old: "proxy_set_header X-Forwarded-Proto $scheme;", check: "scheme", cure: "X-Forwarded-Proto $scheme;"},
	{name: "a wrong scheme", old: "X-Forwarded-Proto $scheme", new: "X-Forwarded-Proto http", check: "scheme", cure: "X-Forwarded-Proto $scheme;"},
	{name: "the address that the client names", old: "proxy_set_header X-Forwarded-For $remote_addr;", check: "client address", cure: "X-Forwarded-For $remote_addr;"},
	{name: "an address appended", old: "X-Forwarded-For $remote_addr", new: "X-Forwarded-For $proxy_add_x_forwarded_for", check: "client address", cure: "X-Forwarded-For $remote_addr;"},
	{name: "no address", old: "X-Forwarded-For $remote_addr", new: "X-Forwarded-For \"\"", check: "client address", cure: "X-Forwarded-For $remote_addr;"},
	{name: "a short patience", old: "proxy_read_timeout 75s", new: "proxy_read_timeout 1s", check: "silence", cure: "proxy_read_timeout 75s;", args: []string{"--silence", "5s"}},
	{name: "pings cover it", old: "proxy_read_timeout 75s", new: "proxy_read_timeout 3s", check: "silence", status: "warning", cure: "proxy_read_timeout 75s;", args: []string{"--silence", "5s"}},
	{name: "a wrong socket", old: "/ws.sock", new: "/other.sock", check: "upgrade", cure: "listen_group"},
	{name: "no location", old: "^~ /ws/", new: "^~ /sockets/", check: "upgrade", cure: "location ^~ /ws/ {\n    proxy_pass http://unix:"},
	{name: "a target with a path", old: "/ws.sock;", new: "/ws.sock:/;", check: "upgrade", cure: "[[route]]"},
	{name: "no key", old: "proxy_read_timeout", new: "proxy_set_header Sec-WebSocket-Key \"\"; proxy_read_timeout", check: "upgrade", cure: "Sec-WebSocket-Key"},
	{name: "a redirect", old: "proxy_read_timeout", new: "return 301 /elsewhere; proxy_read_timeout", check: "upgrade", cure: "redirect"},
	{name: "nothing allowed", old: "proxy_read_timeout", new: "deny all; proxy_read_timeout", check: "upgrade", cure: "Allow /ws/"},
	{name: "no such page", old: "proxy_read_timeout", new: "return 404; proxy_read_timeout", check: "upgrade", cure: "location ^~ /ws/"},
	{name: "no redirect", old: "return 301 https://$host$request_uri;", new: "return 200 hello;", check: "redirect", status: "warning", cure: "return 301 https://"},
	{name: "no cookies", old: "proxy_read_timeout", new: "proxy_set_header Cookie \"\"; proxy_read_timeout", check: "cookies", cure: "Cookie"},
	{name: "no compression", old: "proxy_read_timeout", new: "proxy_set_header Sec-WebSocket-Extensions \"\"; proxy_read_timeout", check: "compression", status: "warning", cure: "Sec-WebSocket-Extensions"},
	{name: "an old certificate", old: "/right", new: "/old", check: "tls", cure: "certbot renew"},
	{name: "a certificate to renew", old: "/right", new: "/late", check: "tls", status: "warning", cure: "certbot renew"},
	{name: "a certificate of another site", old: "/right", new: "/other", check: "tls", cure: "certbot certonly -d example.test"},
	{name: "no chain", old: "/right.pem", new: "/right-alone.pem", check: "tls", cure: "fullchain.pem"},
}

func TestNginx(t *testing.T) {
	t.Parallel()
	contract.Row(t, "5.doctor-right", "5.doctor-finds", "5.doctor-php")
	s := newSite(t, "")
	t.Run("right", func(t *testing.T) { clean(t, s.examine(t, nginxFront(t, s, nginxRight)), "dns") })
	for _, m := range nginxMistakes {
		t.Run(m.name, func(t *testing.T) {
			f := nginxFront(t, s, m.plant(t, nginxRight))
			m.only(t, s.examine(t, f, append([]string{"--silence", "100ms"}, m.args...)...))
		})
	}
	s.noRuns(t)
}

// A gateway that hangs or has ended is the gateway's fault, not the proxy's.
func TestNginxWithoutAnAnswerBehindIt(t *testing.T) {
	t.Parallel()
	contract.Row(t, "5.doctor-finds")
	s := newSite(t, "")
	f := nginxFront(t, s, strings.Replace(nginxRight, "proxy_read_timeout 75s", "proxy_read_timeout 1s", 1))
	want := func(status string) {
		t.Helper()
		r := s.outside(t, f)
		mistake{check: "upgrade", cure: "systemctl status wsfpm"}.only(t, r)
		if got := r.of(t, "upgrade").Text; !strings.HasPrefix(got, status) {
			t.Errorf("got %q, want %s", got, status)
		}
	}
	s.gateway.Pause()
	want("504")
	s.gateway.Resume()
	s.gateway.Stop(t)
	want("502")
}

// What a visitor's machine sees without the control socket.
func TestNginxFromOutside(t *testing.T) {
	t.Parallel()
	contract.Row(t, "5.doctor-outside", "5.doctor-php")
	s := newSite(t, "")
	inside := []string{"dns", "self-test", "host", "client address", "cookies", "messages", "compression", "php", "workers", "redis server", "system", "silence"}
	clean(t, s.outside(t, nginxFront(t, s, nginxRight)), inside...)
	for _, m := range nginxMistakes[:6] {
		t.Run(m.name, func(t *testing.T) {
			switch m.check {
			case "host":
				m.check = "origin"
			case "scheme":
				m.status = "warning" // the route's origins may be the cause
			}
			m.only(t, s.outside(t, nginxFront(t, s, m.plant(t, nginxRight))))
		})
	}
	s.noRuns(t)
}
