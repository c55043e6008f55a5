package gateway

import (
	"encoding/base64"
	"net/http"
	"strings"

	"wsfpm/gateway/config"
	"wsfpm/gateway/excerpt"
)

// checkHeaders refuses a handshake with too many or too large headers. [Gateway.Attend]
// counts those that net/http does not read completely.
func checkHeaders(r *http.Request, l *config.Limits) *refusal {
	count := 1 // Host, which is not in r.Header
	size := int64(len(r.Method) + len(r.RequestURI) + len(r.Proto) + len("  \r\n") + len("Host: \r\n") + len(r.Host))
	for name, values := range r.Header {
		count += len(values)
		for _, v := range values {
			size += int64(len(name) + len(v) + len(": \r\n"))
		}
	}
	switch {
	case l.HandshakeHeaders > 0 && size > int64(l.HandshakeHeaders):
		return refuse(http.StatusRequestHeaderFieldsTooLarge, "handshake_headers",
			"%d bytes of headers, limits.handshake_headers = %v", size, l.HandshakeHeaders)
	case l.HandshakeHeaderCount > 0 && count > l.HandshakeHeaderCount:
		return refuse(http.StatusRequestHeaderFieldsTooLarge, "handshake_header_count",
			"%d headers, limits.handshake_header_count = %d", count, l.HandshakeHeaderCount)
	}
	return nil
}

// wantsUpgrade reports whether r asks for a WebSocket (RFC 6455, 4.2.1).
func wantsUpgrade(r *http.Request) bool {
	return hasToken(r.Header, "Upgrade", "websocket") && hasToken(r.Header, "Connection", "upgrade")
}

// checkHandshake checks the other requirements of RFC 6455, 4.2.1, but for the version, so
// that PHP is called for valid handshakes only.
func checkHandshake(r *http.Request) error {
	key := r.Header.Values("Sec-WebSocket-Key")
	switch {
	case r.Method != http.MethodGet:
		return refuse(http.StatusMethodNotAllowed, "handshake", "the handshake's method is %s, not GET", excerpt.Of(r.Method))
	case !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1:
		return refuse(http.StatusHTTPVersionNotSupported, "handshake", "the handshake is not HTTP/1.1: if nginx has passed it on, set: %s", nginxVersion)
	case r.ContentLength != 0:
		return refuse(http.StatusBadRequest, "handshake", "the handshake has a body, which would be parsed as frames")
	case len(key) != 1 || !isHandshakeKey(key[0]):
		return refuse(http.StatusBadRequest, "handshake", "Sec-WebSocket-Key is missing, doubled or not 16 bytes in base64")
	}
	return nil
}

// checkVersion checks the version of the protocol, which is the last check of a handshake:
// its answer to another version shows that all others have passed, and PHP was not called.
// That is how wsfpm doctor looks through the proxies in front.
func checkVersion(r *http.Request) *refusal {
	versions := r.Header.Values("Sec-WebSocket-Version")
	switch {
	case len(versions) > 1:
		return refuse(http.StatusBadRequest, "handshake", "Sec-WebSocket-Version is repeated")
	case len(versions) == 0 || versions[0] != "13":
		refused := refuse(http.StatusUpgradeRequired, "handshake", "Sec-WebSocket-Version is not 13")
		refused.header = http.Header{"Sec-Websocket-Version": {"13"}, "Upgrade": {"websocket"}}
		return refused
	}
	return nil
}

// isHandshakeKey checks Sec-WebSocket-Key (RFC 6455, 4.1): 16 bytes in base64.
func isHandshakeKey(s string) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	return err == nil && len(key) == 16
}

func hasToken(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for each := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(each), token) {
				return true
			}
		}
	}
	return false
}

// isPlain reports whether r is an ordinary request, such as a health check, and not a
// failed handshake.
func isPlain(r *http.Request) bool {
	return !wantsUpgrade(r) && r.Header.Get("Sec-WebSocket-Key") == ""
}

// whyNoUpgrade returns what a request lacks to be an upgrade. A proxy forwards the key of a
// handshake by default, the other headers only if configured.
func whyNoUpgrade(r *http.Request) string {
	if isPlain(r) {
		return "not a WebSocket handshake; logged once per address"
	}
	var lines []string
	if !r.ProtoAtLeast(1, 1) {
		lines = append(lines, nginxVersion)
	}
	if !hasToken(r.Header, "Upgrade", "websocket") {
		lines = append(lines, "proxy_set_header Upgrade $http_upgrade;")
	}
	if !hasToken(r.Header, "Connection", "upgrade") {
		lines = append(lines, `proxy_set_header Connection "upgrade";`)
	}
	return "a proxy has not passed the handshake's upgrade on: if it is nginx, set: " + strings.Join(lines, " ")
}

// nginxVersion makes nginx use HTTP/1.1 in place of HTTP/1.0.
const nginxVersion = "proxy_http_version 1.1;"

// offeredProtocols parses the subprotocols that a client offers (RFC 6455, 11.3.4).
func offeredProtocols(lines []string) (offered []string) {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name != "" {
				offered = append(offered, name)
			}
		}
	}
	return offered
}

// hopByHop are the hop-by-hop headers (RFC 9110, 7.6.1), by canonical name.
var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
	"Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}
