package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"wsfpm/gateway"
	"wsfpm/gateway/bus"
	"wsfpm/session"
)

// maxPush bounds the body of POST /push, in bytes.
const maxPush = 16 << 20

// Gateway is what the listener shows and steers; [gateway.Gateway] is one.
type Gateway interface {
	Ready() error
	Stats() gateway.Stats
	Push(ctx context.Context, commands []session.Command) (delivered int, err error)
	Connections() iter.Seq[gateway.Connection]
}

// Options is what a listener needs.
type Options struct {
	Gateway Gateway
	// Bus is the bus's counters; nil when there is none.
	Bus func() bus.Stats
	// Token opens /push, /connections and /debug/pprof to
	// "Authorization: Bearer <token>". Without a token they are shut, unless
	// Private is set.
	Token string
	// Private says that only the operator can reach the listener, because it
	// is a unix socket: then no token is asked for.
	Private bool
	// ConfigRefused says that the file, when it was last read, was broken, so
	// that an older configuration is in force. It may be nil: never.
	ConfigRefused func() bool
	// LogDropped is the number of log lines that were never written. It may be
	// nil: none.
	LogDropped func() int64
	// Version is the program's, for /metrics.
	Version string
	// Logger may be nil.
	Logger *zap.Logger
}

// New returns the listener's handler:
//
//	GET  /live         200 as long as the process answers
//	GET  /ready        200, or 503 with what is missing
//	GET  /metrics      for Prometheus
//	POST /push         commands as JSON; {"delivered": 17}, connections of this node
//	GET  /connections  the clients, one JSON object a line
//	GET  /debug/pprof/ profiles of the Go runtime
//
// The last three need the token.
func New(o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.ConfigRefused == nil {
		o.ConfigRefused = func() bool { return false }
	}
	if o.LogDropped == nil {
		o.LogDropped = func() int64 { return 0 }
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(o), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	private := http.NewServeMux()
	private.HandleFunc("POST /push", o.push)
	private.HandleFunc("GET /connections", o.connections)
	private.HandleFunc("GET /debug/pprof/", pprof.Index)
	private.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	private.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	private.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	private.HandleFunc("GET /debug/pprof/trace", pprof.Trace)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "live\n") })
	mux.HandleFunc("GET /ready", o.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	for _, path := range []string{"/push", "/connections", "/debug/pprof/"} {
		mux.Handle(path, o.guarded(private))
	}
	return patient(mux)
}

// patience is how long a request's body may take to come, and its answer to be
// read; a profile lasts as long as it was asked to.
const patience = time.Minute

// patient lets no asker hold a request for longer, with or without a token. A
// request without a body has been read: net/http would take a deadline for its
// end.
func patient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		within, to := time.Now().Add(patience), http.NewResponseController(w)
		if r.ContentLength != 0 {
			_ = to.SetReadDeadline(within)
		}
		if !strings.HasPrefix(r.URL.Path, "/debug/pprof/") {
			_ = to.SetWriteDeadline(within)
		}
		next.ServeHTTP(w, r)
	})
}

// guarded lets in who has the token.
func (o Options) guarded(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(o.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(token))
		switch {
		case o.Private:
		case o.Token == "":
			problem(w, http.StatusForbidden, "this path is shut on a TCP listener without admin_token")
			return
		case !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1:
			w.Header().Set("WWW-Authenticate", "Bearer")
			problem(w, http.StatusUnauthorized, "want Authorization: Bearer, and the admin_token")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (o Options) ready(w http.ResponseWriter, _ *http.Request) {
	if err := o.Gateway.Ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ready\n")
}

// push takes commands. A page in a visitor's browser cannot make one: the
// content type is none that a form can send, and an Origin is refused.
func (o Options) push(w http.ResponseWriter, r *http.Request) {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Header.Get("Origin") != "":
		problem(w, http.StatusForbidden, "a request with an Origin comes from a page: push from a server")
		return
	case mediaType != "application/json":
		problem(w, http.StatusUnsupportedMediaType, "want Content-Type: application/json")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPush))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		problem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", maxPush))
		return
	}
	if err != nil {
		problem(w, http.StatusBadRequest, "the body was cut off")
		return
	}
	commands, _, err := session.Decode(body, session.FromPush)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	delivered, err := o.Gateway.Push(r.Context(), commands)
	if err != nil {
		o.Logger.Warn("push was lost", zap.Error(err))
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	answer(w, http.StatusOK, map[string]int{"delivered": delivered})
}

func (o Options) connections(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(w)
	for c := range o.Gateway.Connections() {
		if lines.Encode(c) != nil {
			return // the operator left
		}
	}
}

func problem(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]string{"error": text})
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the asker left
}
