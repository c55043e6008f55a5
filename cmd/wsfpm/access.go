package main

import (
	"encoding/json"
	"fmt"
	"os"

	"wsfpm/gateway"
	"wsfpm/gateway/live"
)

// accessLog is the access log: a line of JSON for each event, as GET /events shows it. Like
// those of the log its lines never make an event wait: without room they are dropped, and a
// line has their number. Close ends it.
type accessLog struct{ lines *lineWriter }

func openAccessLog(to *os.File) accessLog {
	return accessLog{newLineWriter(to, logBuffer, func(missing int64) []byte {
		return fmt.Appendf(nil, "{\"dropped\":%d}\n", missing)
	})}
}

// event writes a line. It is for [gateway.Gateway.Observe].
func (a accessLog) event(e *gateway.Event) {
	line, err := json.Marshal(live.NewRecord(e, 0))
	if err != nil {
		return // no record has what JSON cannot hold
	}
	_, _ = a.lines.Write(append(line, '\n')) // never fails
}

// Close flushes pending lines, for logFlush at most.
func (a accessLog) Close() { a.lines.Close(logFlush) }
