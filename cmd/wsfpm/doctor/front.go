package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// lookUp asks DNS for the site's addresses.
func lookUp(ctx context.Context, v *visit) finding {
	name := v.url.Hostname()
	if address, given := v.Connect[v.port()]; given {
		return notRun("--connect names the address %s", address)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return notRun("%s is an address", name)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		v.stopped = "the host has no address"
		return fault("", "%v: add an A or AAAA record for %s, or correct the URL", err, name)
	}
	return ok("%s is %s", name, strings.Join(addresses, ", "))
}

// tlsCures have what to do about a certificate.
var tlsCures = map[string]cure{
	"chain": {
		nginx:   "# nginx, in the server {host}\nssl_certificate /etc/letsencrypt/live/{host}/fullchain.pem;",
		apache:  "SSLCertificateFile /etc/letsencrypt/live/{host}/fullchain.pem",
		haproxy: "cat fullchain.pem privkey.pem > /etc/haproxy/certs/{host}.pem",
		caddy:   "tls /etc/ssl/{host}/fullchain.pem /etc/ssl/{host}/privkey.pem",
	},
	"unknown": {anyProxy: "Give the certificate of a private CA by --ca FILE. Browsers need it too."},
	"name":    {anyProxy: "Get a certificate for this name:  certbot certonly -d {host}"},
	"expiry":  {anyProxy: "certbot renew\n# then reload the proxy"},
}

// handshakeTLS looks at the certificate as a browser does.
func handshakeTLS(ctx context.Context, v *visit) finding {
	if !v.secure() {
		return notRun("%s has no TLS, which pages of https:// need", v.url)
	}
	raw, err := v.connect(ctx, v.port())
	if err != nil {
		v.stopped = "nothing answers at the port"
		return fault("", "%v: start the proxy, or open the port in the firewall", err)
	}
	c := tls.Client(raw, v.tlsConfig())
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = c.HandshakeContext(ctx)
	v.unverified = err != nil
	if err == nil {
		return expiry(c.ConnectionState().PeerCertificates[0])
	}
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fault("expiry", "%v", err)
	case errors.As(err, &name):
		return fault("name", "%v", err)
	case errors.As(err, &unknown) && unknown.Cert != nil && !selfSigned(unknown.Cert) && lonely(err):
		return fault("chain", "the server sends its certificate without that of its issuer, %q, which browsers of some machines lack", unknown.Cert.Issuer.String())
	case errors.As(err, &unknown):
		return fault("unknown", "%v", err)
	}
	v.stopped = "there is no TLS at the port"
	return fault("", "%v: is this a port of https?", err)
}

func selfSigned(c *x509.Certificate) bool { return c.Issuer.String() == c.Subject.String() }

// lonely reports whether the server has sent one certificate.
func lonely(err error) bool {
	var failed *tls.CertificateVerificationError
	return errors.As(err, &failed) && len(failed.UnverifiedCertificates) == 1
}

// expiry warns when a certificate should have been renewed: tools do that when a third of
// its time is left.
func expiry(c *x509.Certificate) finding {
	left, whole := time.Until(c.NotAfter), c.NotAfter.Sub(c.NotBefore)
	if left < whole/5 && left < 21*24*time.Hour {
		return warning("expiry", "the certificate ends on %s, and was not renewed", c.NotAfter.Format(time.DateOnly))
	}
	return ok("valid until %s, by %q", c.NotAfter.Format(time.DateOnly), c.Issuer.String())
}

var redirectCures = map[string]cure{"plain": {
	nginx:   "# nginx, beside the server of the site, which keeps no \"listen 80\"\nserver {\n    listen 80;\n    server_name {host};\n    return 301 https://$host$request_uri;\n}",
	apache:  "# Apache, beside the virtual host\n<VirtualHost *:80>\n    ServerName {host}\n    Redirect permanent / https://{host}/\n</VirtualHost>",
	haproxy: "http-request redirect scheme https code 301 unless { ssl_fc }",
	caddy:   "# Delete \"auto_https disable_redirects\" or \"auto_https off\" from the global options.",
}}

// redirect looks whether the site leads visitors without TLS to https.
func redirect(ctx context.Context, v *visit) finding {
	_, given := v.Connect["80"]
	switch {
	case !v.secure():
		return notRun("%s has no TLS", v.url)
	case v.port() != "443" && !given:
		return notRun("port %s has no known port of http beside it: give one by --connect 80=HOST:PORT", v.port())
	}
	plain := url.URL{Scheme: "ws", Host: v.url.Hostname(), Path: v.url.Path}
	a, err := v.knock(ctx, &plain, "")
	if err != nil {
		return notRun("nothing answers without TLS: %v", err)
	}
	to, err := url.Parse(a.header.Get("Location"))
	if a.status >= 300 && a.status < 400 && err == nil && to.Scheme == "https" {
		return ok("http:// leads to https://")
	}
	return warning("plain", "http://%s answers %d %s without TLS, where it should lead to https://", v.url.Hostname(), a.status, http.StatusText(a.status))
}
