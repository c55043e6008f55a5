package admin

import (
	"context"
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

// Gateway is the part of [gateway.Gateway] that the listener uses.
type Gateway interface {
	Ready() error
	Stats() gateway.Stats
	Push(ctx context.Context, commands []session.Command) (delivered int, err error)
	Connections() iter.Seq[gateway.Connection]
}

// Options configures the handler.
type Options struct {
	Gateway Gateway
	// Bus returns the bus's counters; nil if there is no bus.
	Bus func() bus.Stats
	// Token grants access to every path with "Authorization: Bearer <token>". Without
	// a token /push, /connections and /debug/pprof are disabled, unless Private is set.
	Token string
	// Private is set for a unix socket, which only the operator's programs can reach:
	// then only browsers need the token.
	Private bool
	// Hosts are the accepted names in the Host header, in lower case and without
	// port, in addition to IP addresses and localhost.
	Hosts []string
	// ConfigRefused reports whether the last reload failed, so that the previous
	// configuration is in force. It may be nil: never.
	ConfigRefused func() bool
	// LogDropped returns the number of dropped log lines. It may be nil: none.
	LogDropped func() int64
	// Sockets are the listener's connections; it may be nil.
	Sockets *Sockets
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
// The last three need the token. A browser needs it for all of them. A request without
// it needs a known Host, as protection against DNS rebinding.
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
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "live\n") })
	mux.HandleFunc("GET /ready", o.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("POST /push", o.push)
	mux.HandleFunc("GET /connections", o.connections)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return patient(o.guarded(mux))
}

// patience bounds receiving a request's body and sending its answer, in addition to the
// requested duration of a profile.
const patience = time.Minute

// patient applies patience to every request, with or without a token. A request without
// a body gets no read deadline: net/http would take it for the client's disconnect.
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

func (o Options) ready(w http.ResponseWriter, _ *http.Request) {
	if err := o.Gateway.Ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ready\n")
}

// push accepts commands. Cross-site requests are refused: forms cannot send this
// content type, and an Origin is an error.
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
			return // the client disconnected
		}
	}
}

func problem(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]string{"error": text})
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // fails if the client disconnected
}
