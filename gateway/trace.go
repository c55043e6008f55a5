package gateway

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
)

// traceparent is the parameter with the trace context of a connection (W3C Trace Context,
// level 1). It is that of the handshake, with its parent-id: wsfpm records no spans.
const traceparent = "HTTP_TRACEPARENT"

// The form of a traceparent of version 00: version, trace-id, parent-id, flags.
const (
	traceVersion = "00"
	traceLen     = len("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	traceIDEnd   = 3 + 32
)

// traceOf returns the traceparent for a handshake's events: the client's, if there is a valid
// one, else a new one that is not sampled.
func traceOf(r *http.Request) (value string, isNew bool) {
	if list := r.Header.Values("Traceparent"); len(list) == 1 {
		if value, valid := parseTrace(list[0]); valid {
			return value, false
		}
	}
	var id [24]byte
	_, _ = rand.Read(id[:]) // never fails
	text := hex.EncodeToString(id[:])
	return traceVersion + "-" + text[:32] + "-" + text[32:] + "-00", true
}

// parseTrace checks a traceparent (3.2.2) and returns it in the form of version 00: of a
// later version only what that has is known (3.2.4).
func parseTrace(s string) (value string, valid bool) {
	s = strings.Trim(s, " \t")
	later := len(s) > traceLen && !strings.HasPrefix(s, traceVersion) && s[traceLen] == '-'
	if len(s) != traceLen && !later {
		return "", false
	}
	s = s[:traceLen]
	version, trace, parent, flags := s[:2], s[3:traceIDEnd], s[36:52], s[53:]
	if s[2] != '-' || s[traceIDEnd] != '-' || s[52] != '-' || version == "ff" ||
		!isLowerHex(version+trace+parent+flags) || strings.Trim(trace, "0") == "" || strings.Trim(parent, "0") == "" {
		return "", false
	}
	return traceVersion + s[2:], true
}

func isLowerHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// trace returns the connection's trace-id, "" before its parameters are known.
func (c *connection) trace() string {
	if c.env == nil {
		return ""
	}
	value, _ := c.env.Get(traceparent)
	if len(value) != traceLen {
		return "" // the route's params have another one
	}
	return value[3:traceIDEnd]
}
