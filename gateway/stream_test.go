package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"wsfpm/gateway/config"
	"wsfpm/test/fcgitest"
)

// A client that does not read holds a worker no longer than stream_timeout.
func TestAStreamTimeoutHoldsForASlowClient(t *testing.T) {
	line := strings.Repeat("x", 1000) + "\n"
	server := fcgitest.NewServer(func(w *fcgitest.Writer, r *fcgitest.Request) {
		if r.Params["WS_EVENT"] != "message" {
			w.Stdout("Status: 204\r\n\r\n")
			return
		}
		w.Stdout("Content-Type: application/x-ndjson\r\n\r\n")
		for range 100_000 {
			w.Stdout(line)
		}
	}, fcgitest.Options{})
	t.Cleanup(server.Close)
	h := start(t, echo, func(c *config.Config) {
		c.FPM["default"].Network, c.FPM["default"].Addr = server.Network, server.Address
		c.Routes[0].StreamTimeout = config.Duration(300 * time.Millisecond)
		c.Limits.WriteTimeout = config.Duration(time.Minute)
		c.Limits.Queue = 64 << 10
	})
	p := h.dial("/", nil)
	p.send("go")
	streams := func() int { return h.pools["default"].Stats().Streams }
	eventually(t, "a stream", func() bool { return streams() == 1 })
	eventually(t, "the worker back", func() bool { return streams() == 0 })
	eventually(t, "a timeout to be counted", func() bool {
		for _, e := range h.Stats().Events {
			if e.Kind == "message" && e.Outcome == "timeout" {
				return true
			}
		}
		return false
	})
}

// A worker that dies closes its socket: to wsfpm that is an EOF, as a proper end
// of an answer is for readers of Response.
func TestAStreamCutInALineFails(t *testing.T) {
	server := fcgitest.NewServer(func(w *fcgitest.Writer, r *fcgitest.Request) {
		if r.Params["WS_EVENT"] != "message" {
			w.Stdout("Status: 204\r\n\r\n")
			return
		}
		w.Stdout("Content-Type: application/x-ndjson\r\n\r\nwhole\nhal")
		w.Hangup()
	}, fcgitest.Options{Workers: 2})
	t.Cleanup(server.Close)
	h := start(t, echo, func(c *config.Config) {
		c.FPM["default"].Network, c.FPM["default"].Addr = server.Network, server.Address
		c.Routes[0].OnError, c.Routes[0].ErrorMessage = config.OnErrorMessage, "sorry"
	})
	p := h.dial("/", nil)
	p.send("go")
	p.want("whole")
	p.want("sorry")
}

func TestStreamMayBeLongerThanAnswerLimit(t *testing.T) {
	read := make(chan struct{}) // a line
	server := fcgitest.NewServer(func(w *fcgitest.Writer, r *fcgitest.Request) {
		if r.Params["WS_EVENT"] != "message" {
			w.Stdout("Status: 204\r\n\r\n")
			return
		}
		w.Stdout("Content-Type: application/x-ndjson\r\n\r\n")
		for i := range 4 {
			w.Stdout(fmt.Sprint(i) + strings.Repeat("y", 400) + "\n")
			<-read
		}
	}, fcgitest.Options{Workers: 8})
	t.Cleanup(server.Close)
	h := start(t, echo, func(c *config.Config) {
		c.FPM["default"].Network, c.FPM["default"].Addr = server.Network, server.Address
		c.Routes[0].AnswerLimit = 1000
	})
	p := h.dial("/", nil)
	p.send("go")
	for got := range 4 {
		if _, _, err := p.Read(within(t, patience)); err != nil {
			t.Fatalf("after %d of 4 lines of 400 bytes, answer_limit 1000: %v (route.go: \"the longest answer of a script, streams aside\")", got, err)
		}
		read <- struct{}{}
	}
}
