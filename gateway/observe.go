package gateway

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"wsfpm/fcgi"
	"wsfpm/gateway/answer"
	"wsfpm/gateway/config"
	"wsfpm/session"
)

// Event is one event as it ended. What it points to may only be read during the call of the
// observer.
type Event struct {
	Kind       string // connect, message or disconnect; handshake: refused before PHP was called
	Connection string // its id; "" of a handshake
	Route      string // the path of the route; of a handshake the path that was asked for
	Script     string // path of the script, as PHP gets it
	User       string // after the event
	Channels   []string
	Address    netip.Addr // of the client
	Trace      string     // the trace-id (W3C Trace Context); "" of a handshake

	Data   []byte // of a message
	Binary bool

	Code   int           // of a disconnect: its close code; of a handshake: its status
	Reason string        // of a disconnect
	Lasted time.Duration // of a disconnect: how long the connection lasted

	Took     time.Duration // until the end of PHP's answer: Wait, then the run
	Wait     time.Duration // for a worker of PHP-FPM
	Outcome  string        // ok, or why it failed, as in the metrics
	Err      error         // nil: ok
	Streamed bool          // the answer was sent line by line
	Cached   bool          // the answer was another message's, PHP has not run
	Reply    *answer.Reply // nil: the event failed, or its answer was streamed to a client
	Failure  *Failure      // nil: it did not fail; also of a handshake
	Record   bool          // the route allows recordings of all its clients

	told *told
}

// Failure is why an event has no answer that counts, and what follows from that.
type Failure struct {
	Reason string         // as it is logged
	Brief  string         // Reason without text of PHP's output, which may quote a message
	PHP    string         // output of PHP, such as its error
	Meant  bool           // the connect script refused the client, or answered 5xx
	Status int            // of the refused handshake; 0: the event is no connect
	Body   []byte         // of the refused handshake; nil: the text of the status
	Text   string         // what the client is sent instead of an answer, "" for nothing
	Close  *session.Close // how the client is closed, nil if it stays
}

// Params returns a new map of what PHP was told, without the body. It is nil if the event
// ended before that was certain, or if the observer came later.
func (e *Event) Params() map[string]string {
	if e.told == nil {
		return nil
	}
	params := e.told.env.Params()
	for _, v := range e.told.vars {
		params[v.Name] = v.Value
	}
	return params
}

// Param returns one of the event's own parameters, such as WS_USER, "" if there is none.
func (e *Event) Param(name string) string {
	if e.told == nil {
		return ""
	}
	for _, v := range e.told.vars {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// told is what PHP was told for an event.
type told struct {
	env  *fcgi.Env
	vars []fcgi.Var
}

// note keeps the parameters of a request, which may be decided as late as the request is
// written.
func note(r *fcgi.Request) *told {
	t := &told{env: r.Env, vars: slices.Clone(r.Vars)}
	if before := r.Before; before != nil {
		r.Before = func(ctx context.Context) ([]fcgi.Var, error) {
			vars, err := before(ctx)
			if err == nil {
				t.vars = slices.Clone(vars)
			}
			return vars, err
		}
	}
	return t
}

// concluded counts an event that is over, and shows it to the observers. An event taken over
// by another node counts there.
func (c *connection) concluded(e *event, a *reply, err error) {
	if errors.Is(err, errTakenOver) {
		return
	}
	if !a.cached { // PHP has not run: it is counted with the cache
		c.g.stats.event(e.kind, err, a.took)
	}
	if e.single || e.end != nil && unsent(err) { // that is tried again, or shown when it is given up
		return
	}
	c.g.show(func() Event { return c.seen(e, a, err) })
}

// seen returns an event as observers see it.
func (c *connection) seen(e *event, a *reply, err error) Event {
	membership := c.session.Membership()
	seen := Event{
		Kind: e.kind.String(), Connection: c.id(), Route: c.rt.Path, Script: c.env.Script(),
		User: membership.User, Channels: membership.Channels, Address: c.client.addr, Trace: c.trace(),
		Data: e.body, Binary: e.binary, Code: e.close.code, Reason: e.close.reason, Lasted: e.close.took,
		Took: a.took, Wait: a.wait(err), Outcome: outcome(err), Err: err, Streamed: a.streamed, Cached: a.cached,
		Failure: failureOf(e, err), Record: e.route.Record, told: a.told,
	}
	if err == nil && (e.single || !a.streamed) {
		shown := a.Reply // a itself stays on the stack
		seen.Reply = &shown
	}
	return seen
}

// failureOf describes the failure of an event, nil without one.
func failureOf(e *event, err error) *Failure {
	if err == nil {
		return nil
	}
	f := &Failure{Reason: err.Error(), Brief: err.Error()}
	if failed := (*failure)(nil); errors.As(err, &failed) {
		f.PHP = failed.detail
		f.Brief = cmp.Or(failed.brief, f.Brief)
	}
	switch e.kind {
	case kindConnect:
		refused := refusalFor(err)
		f.Status, f.Body, f.Meant = refused.status, refused.body, refused.why == "script"
		if f.Body == nil && e.route.Dev && !f.Meant {
			f.Body = []byte(errorText(e.route, err))
		}
		if f.Body == nil {
			f.Body = []byte(http.StatusText(f.Status) + "\n")
		}
	case kindMessage:
		f.Text = errorText(e.route, err)
		if e.route.OnError == config.OnErrorClose {
			with := closeFor(err)
			f.Close = &with
		}
	}
	return f
}

// showRefused shows a handshake that was refused before PHP was called.
func (g *Gateway) showRefused(r *http.Request, err error) {
	g.show(func() Event {
		refused := refusalFor(err)
		address, _ := netip.ParseAddr(g.remote(r)) // zero: unknown
		return Event{Kind: "handshake", Route: r.URL.Path, Address: address, Code: refused.status, Outcome: "refused", Err: errors.New(refused.reason)}
	})
}

// wait returns how long the event waited for a worker. Without one all its time was that.
func (a *reply) wait(err error) time.Duration {
	granted := a.granted
	if failed := (*fcgi.Error)(nil); granted.IsZero() && errors.As(err, &failed) {
		granted = failed.Granted
	}
	if granted.IsZero() {
		return a.took
	}
	return max(0, granted.Sub(a.began))
}

// show passes an event to the observers; build is called only if there is one.
func (g *Gateway) show(build func() Event) {
	list := g.observers.list.Load()
	if list == nil {
		return
	}
	e := build()
	for _, see := range *list {
		(*see)(&e)
	}
}

// observers are the functions that see each event. An event costs one look while there are
// none.
type observers struct {
	mu   sync.Mutex // held while the list is replaced
	list atomic.Pointer[[]*func(*Event)]
}

// any reports whether there are observers.
func (o *observers) any() bool { return o.list.Load() != nil }

// Recordable reports whether a route with this path, as configured, has record = true.
func (g *Gateway) Recordable(path string) bool {
	return slices.ContainsFunc(g.settings.Load().routes, func(r *route) bool { return r.Path == path && r.Record })
}

// Observe calls see with each event when it is over, on the event's own goroutine: what it
// takes delays the connection. See is safe for concurrent use. It is called no more for events
// that end after stop has returned.
func (g *Gateway) Observe(see func(*Event)) (stop func()) {
	g.observers.change(func(list []*func(*Event)) []*func(*Event) { return append(list, &see) })
	return func() {
		g.observers.change(func(list []*func(*Event)) []*func(*Event) {
			return slices.DeleteFunc(list, func(f *func(*Event)) bool { return f == &see })
		})
	}
}

// change replaces the list by what next makes of a copy.
func (o *observers) change(next func([]*func(*Event)) []*func(*Event)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []*func(*Event)
	if old := o.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	if list = next(list); len(list) == 0 {
		o.list.Store(nil)
		return
	}
	o.list.Store(&list)
}
