package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"wsfpm/fcgi"
	"wsfpm/gateway/excerpt"
)

// refusal converts an error after the checks of a handshake. PHP's output is logged, and
// with dev = true sent to the client.
func (c *connection) refusal(err error) *refusal {
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		return refused
	}
	c.logFailure(kindConnect, err)
	refused := refusalFor(err)
	if c.rt.Dev {
		refused.body = []byte(errorText(c.rt, err))
	}
	return refused
}

// refuse answers a handshake with the status for err.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, err error) {
	refused := refusalFor(err)
	if refused.status != 0 {
		g.stats.refused(Refusal{refused.status, refused.why})
	}
	remote, level := g.remote(r), zap.InfoLevel
	if isPlain(r) && !g.once.first("plain request "+strconv.Itoa(refused.status)+" "+remote) {
		level = zap.DebugLevel // health checks come every few seconds
	}
	g.log.Log(level, "handshake refused",
		zap.Int("status", refused.status),
		zap.String("path", excerpt.Of(r.URL.Path)),
		zap.String("remote", remote),
		zap.String("reason", refused.reason),
		zap.NamedError("error", refused.cause))
	if refused.status == 0 {
		return // answered by the upgrade, or the socket was hijacked
	}
	allow(w, r, refusalTime)
	for name, values := range refused.header {
		w.Header()[name] = values
	}
	w.Header().Set("Connection", "close")
	body := refused.body
	if body == nil {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		body = []byte(http.StatusText(refused.status) + "\n")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(refused.status)
	_, _ = w.Write(body) // the client may have left
}

// refusalTime bounds the time for a client to read a refusal, and to send the rest of a
// body, which is not used; pageTime is the same for a page.
const (
	refusalTime = 10 * time.Second
	pageTime    = 5 * time.Minute
)

// allow sets the time limit for a request's body and its answer. Without a body it sets no
// read deadline: net/http would treat an expired one as the end of the client.
func allow(w http.ResponseWriter, r *http.Request, d time.Duration) {
	within := time.Now().Add(d)
	to := http.NewResponseController(w)
	_ = to.SetWriteDeadline(within)
	if r.ContentLength != 0 {
		_ = to.SetReadDeadline(within)
	}
}

// remote returns the client's address for the log, the same as REMOTE_ADDR.
func (g *Gateway) remote(r *http.Request) string {
	who, err := clientOf(r, g.settings.Load().Trusted())
	if err != nil {
		return r.RemoteAddr
	}
	return who.addr.String()
}

// notOn101 are headers of PHP's answer that are not copied to the 101, besides hop-by-hop
// ones, WS-*, Sec-WebSocket-*, Content-* and X-Accel-*.
var notOn101 = map[string]bool{
	"Status": true, "Date": true, "Server": true, "Location": true,
	"Cache-Control": true, "Expires": true, "Pragma": true, "Last-Modified": true, "Etag": true,
}

// notOnRefusal is the same for a refusal, which is an ordinary HTTP response.
var notOnRefusal = map[string]bool{"Content-Length": true, "Status": true}

// readByServer are headers that net/http looks up by their canonical name.
var readByServer = map[string]bool{"Content-Type": true, "Content-Encoding": true, "Date": true}

// passOn copies an answer's headers into h, except those in without, and keeps the script's
// spelling of their names.
func passOn(h http.Header, fields fcgi.Header, without map[string]bool) {
	for _, f := range fields {
		name := http.CanonicalHeaderKey(f.Name)
		switch {
		case hopByHop[name], without[name], strings.HasPrefix(name, "Ws-"):
			continue
		case without["Location"] && (strings.HasPrefix(name, "Sec-Websocket-") || strings.HasPrefix(name, "Content-") || strings.HasPrefix(name, "X-Accel-")):
			continue
		}
		if !readByServer[name] {
			name = f.Name
		}
		h[name] = append(h[name], f.Value)
	}
}

// speller is a ResponseWriter that spells header names as their RFC does: net/http writes
// names as they are in the map, and http.Header.Set canonicalizes them.
type speller struct{ http.ResponseWriter }

// spellings are the header names of the handshake as in RFC 6455. HTTP ignores case, but
// some devices and game engines compare bytes.
var spellings = [...]string{
	"Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Sec-WebSocket-Version",
}

// WriteHeader respells the headers and writes them.
func (s speller) WriteHeader(status int) {
	h := s.Header()
	for _, name := range spellings {
		if values := h.Values(name); len(values) > 0 {
			h.Del(name)
			h[name] = values
		}
	}
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController, which hijacks the socket.
func (s speller) Unwrap() http.ResponseWriter { return s.ResponseWriter }
