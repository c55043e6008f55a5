package admin

import (
	"context"
	"fmt"
	"net/http"

	"wsfpm/gateway/live"
	"wsfpm/gateway/recording"
)

// Record adds GET /record to the control socket: the events of one connection, one user, or a
// route with record = true, as package recording describes them, without what is secret.
// Recordable reports whether a path is that of such a route.
func (c *Control) Record(feed *live.Feed, recordable func(path string) bool) {
	c.HandleFunc("GET /record", func(w http.ResponseWriter, r *http.Request) {
		choice, err := recording.ParseChoice(r.URL.Query())
		if err != nil {
			Problem(w, http.StatusBadRequest, err.Error())
			return
		}
		if choice.Route != "" && !recordable(choice.Route) {
			Problem(w, http.StatusForbidden, fmt.Sprintf("no route %.100q has record = true: set it, or choose a user or a connection", choice.Route))
			return
		}
		what := fmt.Sprintf("record for %v", choice.For)
		if choice.Bodies {
			what += " with bodies"
		}
		c.Audit(r, what, choice.String())
		reader, err := feed.Collect(choice.Matches, choice.Line)
		if err != nil {
			Problem(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		defer reader.Close()
		sendRecording(w, r, &choice, reader)
	})
}

// sendRecording sends a recording until its time is over or its size is reached.
func sendRecording(w http.ResponseWriter, r *http.Request, choice *recording.Choice, reader *live.Reader) {
	ctx, cancel := context.WithTimeout(r.Context(), choice.For)
	defer cancel()
	to := newLines(w)
	if to.sendJSON(choice.Head()) != nil {
		return
	}
	for left := recording.MostBytes; ; {
		if ctx.Err() != nil {
			reader.Close() // what it has is still sent
		}
		text, err := reader.Next(ctx)
		if err != nil {
			_ = to.sendJSON(recording.Tail{End: "the time is over"}) // the reader may be gone
			return
		}
		if left -= len(text); left < 0 {
			_ = to.sendJSON(recording.Tail{End: fmt.Sprintf("%d MiB are reached", recording.MostBytes>>20)})
			return
		}
		if to.send(text) != nil {
			return
		}
	}
}
