package doctor

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"wsfpm/gateway"
)

// patience bounds each request.
const patience = 10 * time.Second

// port returns the URL's port.
func (v *visit) port() string {
	if port := v.url.Port(); port != "" {
		return port
	}
	if v.secure() {
		return "443"
	}
	return "80"
}

// connect dials the site at a port, or the address that is given for it.
func (v *visit) connect(ctx context.Context, port string) (net.Conn, error) {
	address, given := v.Connect[port]
	if !given {
		address = net.JoinHostPort(v.url.Hostname(), port)
	}
	dialer := net.Dialer{Timeout: patience}
	return dialer.DialContext(ctx, "tcp", address)
}

func (v *visit) tlsConfig() *tls.Config {
	return &tls.Config{RootCAs: v.roots, ServerName: v.url.Hostname(), NextProtos: []string{"http/1.1"}, InsecureSkipVerify: v.unverified}
}

// transport returns the way to the site. A browser opens a WebSocket by HTTP/1.1, unless
// the server announces RFC 8441.
func (v *visit) transport() *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: v.tlsConfig(), TLSHandshakeTimeout: patience, ResponseHeaderTimeout: patience,
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(address) // net/http has joined it
			return v.connect(ctx, port)
		},
	}
}

// answer is one to a handshake.
type answer struct {
	status   int
	header   http.Header
	body     string // its beginning
	versions string // Sec-WebSocket-Version
}

// passed reports whether the handshake was refused for its version alone: it has passed all
// other checks of a WebSocket server.
func (a *answer) passed() bool {
	return a.status == http.StatusUpgradeRequired && a.versions != ""
}

// gateway reports whether the answer looks like one of wsfpm's own.
func (a *answer) gateway() bool {
	return a.header.Get("Content-Type") == "text/plain; charset=utf-8" && a.body == http.StatusText(a.status)+"\n"
}

// knock sends a handshake of a version that no server speaks, from a page of the given
// origin; "": not from a page.
func (v *visit) knock(ctx context.Context, to *url.URL, origin string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	plain := *to
	plain.Scheme = strings.Replace(to.Scheme, "ws", "http", 1)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, plain.String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-WebSocket-Key": {"d3NmcG0gZG9jdG9yIG5vdw=="},
		"Sec-WebSocket-Version": {gateway.SelftestVersion}, "User-Agent": {"wsfpm-doctor"},
	}
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	transport := v.transport()
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	a := &answer{status: response.StatusCode, header: response.Header, versions: response.Header.Get("Sec-WebSocket-Version")}
	if a.status != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 4096)) // a part is enough
		a.body = string(body)
	}
	if v.proxy == "" {
		v.proxy = proxyOf(a)
	}
	return a, nil
}
