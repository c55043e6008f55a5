package gateway

import (
	"net/http"

	"wsfpm/gateway/config"
)

// checkHeaders refuses a handshake whose headers are too many or too large. Of
// those that net/http does not even read to their end, see [Gateway.Attend].
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
