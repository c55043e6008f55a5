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

// refusal is how a handshake is answered that failed after its checks. What
// PHP wrote is logged, and with dev = true the client is sent it.
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

// refuse answers a handshake with the status that err asks for.
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
		return // the upgrade has answered, or the socket is taken over
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
	_, _ = w.Write(body) // a client that left needs no answer
}

// refusalTime is how long a client may take to read why it was refused, and to
// send the rest of a body, which is not used; pageTime is the same for a page.
const (
	refusalTime = 10 * time.Second
	pageTime    = 5 * time.Minute
)

// allow bounds the time in which a request's body comes and its answer goes: a
// client that does neither is not waited for. A request without a body has been
// read, and its reading is not bounded: net/http would take that for the end of
// the client.
func allow(w http.ResponseWriter, r *http.Request, d time.Duration) {
	within := time.Now().Add(d)
	to := http.NewResponseController(w)
	_ = to.SetWriteDeadline(within)
	if r.ContentLength != 0 {
		_ = to.SetReadDeadline(within)
	}
}

// remote is the client's address for the log, as REMOTE_ADDR has it.
func (g *Gateway) remote(r *http.Request) string {
	who, err := clientOf(r, g.settings.Load().Trusted())
	if err != nil {
		return r.RemoteAddr
	}
	return who.addr.String()
}

// notOn101 are the answer's headers that do not go onto the 101; hop-by-hop
// ones, WS-*, Sec-WebSocket-*, Content-* and X-Accel-* aside.
var notOn101 = map[string]bool{
	"Status": true, "Date": true, "Server": true, "Location": true,
	"Cache-Control": true, "Expires": true, "Pragma": true, "Last-Modified": true, "Etag": true,
}

// notOnRefusal is the same for a refusal, which is an ordinary answer.
var notOnRefusal = map[string]bool{"Content-Length": true, "Status": true}

// readByServer are the headers that may be passed on and that net/http looks up
// itself, in Go's spelling.
var readByServer = map[string]bool{"Content-Type": true, "Content-Encoding": true, "Date": true}

// passOn copies an answer's headers into h, all but those in without, in the
// script's own spelling of their names.
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

// speller is a ResponseWriter that gives the answer's headers their RFC's names:
// net/http writes a name as it stands in the map, and http.Header.Set puts it
// there in Go's spelling.
type speller struct{ http.ResponseWriter }

// spellings are the names of the handshake's headers as RFC 6455 writes them.
// Case has no meaning in HTTP, but some devices and game engines compare bytes.
var spellings = [...]string{
	"Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Sec-WebSocket-Version",
}

// WriteHeader begins the answer.
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

// Unwrap is for http.ResponseController, which takes the socket over.
func (s speller) Unwrap() http.ResponseWriter { return s.ResponseWriter }
