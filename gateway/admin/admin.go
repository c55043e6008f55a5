package admin

import (
	"cmp"
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
	"wsfpm/gateway/durable"
	"wsfpm/gateway/live"
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
	Observe(see func(*gateway.Event)) (stop func())
}

// Options configures the handler.
type Options struct {
	Gateway Gateway
	// Bus returns the bus's counters; nil if there is no bus.
	Bus func() bus.Stats
	// Store is [gateway.Gateway.Store]; nil: nothing is durable.
	Store func(ctx context.Context, commands []session.Command) (gateway.Stored, error)
	// Log returns the counters of the log of durable messages. It may be nil: there is none.
	Log func() durable.Stats
	// Feed has the events for operators; nil: one of Gateway's.
	Feed *live.Feed
	// Sessions are those of the page; nil: new ones.
	Sessions *Sessions
	// Token grants access to every path with "Authorization: Bearer <token>". Without
	// a token only /live, /ready and /metrics are answered, unless Private is set.
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
//	POST /push         commands as JSON; {"delivered": 17}, connections of this node, and the ids of durable ones
//	GET  /connections  the clients, one JSON object a line
//	GET  /events       each event that is over, a line each, see package live
//	GET  /figures      what happened, a line each second
//	GET  /             a page for browsers, with what it needs
//	POST /ticket       a one-time token for the page
//	GET  /debug/pprof/ profiles of the Go runtime
//
// All but the first three and the page's files need the token. A browser needs it for all of them. A request without
// it needs a known Host, as protection against DNS rebinding.
func New(o Options) http.Handler {
	o.setDefaults()
	registry := prometheus.NewRegistry()
	registry.MustRegister(&collector{o}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "live\n") })
	mux.HandleFunc("GET /ready", o.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("POST /push", o.push)
	mux.HandleFunc("GET /connections", o.connections)
	mux.HandleFunc("GET /events", o.events)
	mux.HandleFunc("GET /figures", o.figures)
	mux.HandleFunc("GET /{$}", o.file)
	mux.HandleFunc("GET /page.js", o.file)
	mux.HandleFunc("GET /page.css", o.file)
	mux.HandleFunc("GET /icon.svg", o.file)
	mux.HandleFunc("POST /ticket", o.ticket)
	mux.HandleFunc("POST /page/session", fromPage(o.openSession))
	mux.HandleFunc("GET /page/find", fromPage(o.find))
	mux.HandleFunc("POST /page/push", fromPage(o.pagePush))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return patient(o.guarded(mux))
}

// setDefaults replaces what may be nil.
func (o *Options) setDefaults() {
	o.Logger = cmp.Or(o.Logger, zap.NewNop())
	if o.ConfigRefused == nil {
		o.ConfigRefused = func() bool { return false }
	}
	if o.Log == nil {
		o.Log = durable.NoStats
	}
	if o.Feed == nil {
		o.Feed = live.NewFeed(o.Gateway.Observe)
	}
	if o.Sessions == nil {
		o.Sessions = new(Sessions)
	}
	if o.LogDropped == nil {
		o.LogDropped = func() int64 { return 0 }
	}
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
	if r.Header.Get("Origin") != "" {
		Problem(w, http.StatusForbidden, "a request with an Origin comes from a page: push from a server")
		return
	}
	if commands, ok := readCommands(w, r); ok {
		o.carryOut(w, r, commands)
	}
}

// readCommands reads the commands of a request, of which there may be none. It answers what is
// wrong, and returns false.
func readCommands(w http.ResponseWriter, r *http.Request) (commands []session.Command, ok bool) {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType != "application/json" {
		Problem(w, http.StatusUnsupportedMediaType, "want Content-Type: application/json")
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPush))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		Problem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", maxPush))
		return nil, false
	}
	if err != nil {
		Problem(w, http.StatusBadRequest, "the body was cut off")
		return nil, false
	}
	if commands, _, err = session.Decode(body, session.FromPush); err != nil {
		Problem(w, http.StatusBadRequest, err.Error())
		return nil, false
	}
	return commands, true
}

// pushed is the answer to a push.
type pushed struct {
	Delivered int      `json:"delivered"`
	IDs       []string `json:"ids,omitempty"` // of what was stored in the log
	Error     string   `json:"error,omitempty"`
}

// carryOut stores what is durable, and publishes the rest. The ids are told also if that
// fails.
func (o Options) carryOut(w http.ResponseWriter, r *http.Request, commands []session.Command) {
	stored := gateway.Stored{Rest: commands}
	var err error
	if o.Store != nil {
		stored, err = o.Store(r.Context(), commands)
	}
	if wrong := new(gateway.PushError); errors.As(err, &wrong) {
		Problem(w, http.StatusBadRequest, err.Error())
		return
	}
	said := pushed{Delivered: stored.Delivered}
	for _, at := range stored.At {
		said.IDs = append(said.IDs, at.String())
	}
	if err == nil {
		var n int
		n, err = o.Gateway.Push(r.Context(), stored.Rest)
		said.Delivered += n
	}
	if err != nil {
		o.Logger.Warn("push was lost", zap.Error(err))
		said.Error = err.Error()
		answer(w, http.StatusServiceUnavailable, said)
		return
	}
	answer(w, http.StatusOK, said)
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

// Problem answers with a status and why, in the form {"error": "…"}.
func Problem(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]string{"error": text})
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // fails if the client disconnected
}
