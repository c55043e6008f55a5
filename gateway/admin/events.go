package admin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"wsfpm/gateway/bus"
	"wsfpm/gateway/live"
)

// The interval between two lines of figures.
const (
	usualInterval = time.Second
	longInterval  = time.Minute
)

// lines sends lines of JSON as they come, each part with patience for itself.
type lines struct {
	w  http.ResponseWriter
	to *http.ResponseController
}

// newLines begins an answer of lines.
func newLines(w http.ResponseWriter) *lines {
	l := &lines{w, http.NewResponseController(w)}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	_ = l.send(nil) // the reader is to know that it has begun
	return l
}

// send returns an error when the reader has disconnected, or does not read.
func (l *lines) send(text []byte) error {
	_ = l.to.SetWriteDeadline(time.Now().Add(patience))
	if _, err := l.w.Write(text); err != nil {
		return err
	}
	return l.to.Flush()
}

// sendJSON sends a value as one line.
func (l *lines) sendJSON(value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return l.send(append(text, '\n'))
}

// events sends each event that the query selects, without the content of messages.
func (o Options) events(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if query.Has("bodies") {
		Problem(w, http.StatusForbidden, "the content of messages is shown on the control socket only")
		return
	}
	o.sendEvents(w, r, query, false)
}

func (o Options) sendEvents(w http.ResponseWriter, r *http.Request, query url.Values, bodies bool) {
	filter, err := live.ParseFilter(query)
	if err != nil {
		Problem(w, http.StatusBadRequest, err.Error())
		return
	}
	reader, err := o.Feed.Open(filter, bodies)
	if err != nil {
		Problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	defer reader.Close()
	to := newLines(w)
	for {
		text, err := reader.Next(r.Context())
		if err != nil || to.send(text) != nil {
			return
		}
	}
}

// figures sends figures, a line for each interval.
func (o Options) figures(w http.ResponseWriter, r *http.Request) {
	interval := usualInterval
	if every := r.URL.Query().Get("every"); every != "" {
		var err error
		if interval, err = time.ParseDuration(every); err != nil || interval < usualInterval || interval > longInterval {
			Problem(w, http.StatusBadRequest, fmt.Sprintf(`every is %.40q: want an interval from "1s" to "1m"`, every))
			return
		}
	}
	meter, err := o.Feed.Measure(live.Sources{
		Stats: o.Gateway.Stats, Ready: o.Gateway.Ready, Connections: o.Gateway.Connections, Bus: o.busStats, Log: o.Log,
	})
	if err != nil {
		Problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	defer meter.Close()
	to := newLines(w)
	each := time.NewTicker(interval)
	defer each.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-each.C:
		}
		if to.sendJSON(meter.Next()) != nil {
			return
		}
	}
}

func (o Options) busStats() bus.Stats {
	if o.Bus == nil {
		return bus.Stats{State: "local"}
	}
	return o.Bus()
}

// Show adds GET /events, GET /figures and POST /ticket to the control socket, with the
// Gateway, Feed, Bus, Log and Sessions of o. There /events has the content of messages with bodies=1.
func (c *Control) Show(o Options) {
	o.setDefaults()
	c.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		what, bodies := "read events", query.Get("bodies") == "1"
		if bodies {
			what = "read events with bodies"
			query.Del("bodies")
		}
		c.Audit(r, what, cmp.Or(query.Encode(), "all"))
		o.sendEvents(w, r, query, bodies)
	})
	c.HandleFunc("POST /ticket", func(w http.ResponseWriter, r *http.Request) {
		c.Audit(r, "make a ticket for the page", "all")
		answer(w, http.StatusOK, map[string]string{"ticket": o.Sessions.Ticket()})
	})
	c.HandleFunc("GET /figures", func(w http.ResponseWriter, r *http.Request) {
		c.Audit(r, "read figures", "all")
		o.figures(w, r)
	})
}
