package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"wsfpm/fcgi/fcgitest"
	"wsfpm/gateway/config"
)

// A stream that begins when its client has been told to leave, because its
// message waited or its script was slow to begin, is cut short as well.
func TestADrainCutsStreamsThatBeginLater(t *testing.T) {
	for _, which := range []string{"its message waits", "its header is late"} {
		t.Run(which, func(t *testing.T) {
			late, over := make(chan struct{}), make(chan struct{})
			h := startServer(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
				if r.Params["WS_EVENT"] != "message" {
					w.Stdout("Status: 204\r\n\r\n")
					return
				}
				if which == "its header is late" {
					<-late
				}
				w.Stdout("Content-Type: application/x-ndjson\r\n\r\nbegun\n")
				for {
					select {
					case <-time.After(100 * time.Millisecond):
						w.Stdout("more\n")
					case <-over:
						return
					}
				}
			})
			t.Cleanup(func() { close(over) })
			p := h.dial("/", nil)
			p.send("one")
			eventually(t, "a client", func() bool { return len(h.clients()) == 1 })
			c := h.clients()[0]
			eventually(t, "a handler at work", c.inbox.isBusy)
			if which == "its message waits" {
				p.want("begun")
				p.send("two")
				eventually(t, "a message that waits", func() bool {
					c.inbox.mu.Lock()
					defer c.inbox.mu.Unlock()
					return len(c.inbox.waiting) == 1
				})
			}
			go func() { // reads to the end
				for {
					if _, _, err := p.Read(context.Background()); err != nil {
						return
					}
				}
			}()
			done := make(chan int, 1)
			go func() { done <- h.Drain(within(t, patience)) }()
			eventually(t, "the client to be told to leave", func() bool {
				c.inbox.mu.Lock()
				defer c.inbox.mu.Unlock()
				return c.inbox.shut
			})
			close(late)
			if lost := <-done; lost > 0 {
				t.Errorf("the drain gave %d up: the stream went on", lost)
			}
		})
	}
}

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
