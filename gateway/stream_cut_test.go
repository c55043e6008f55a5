package gateway

import (
	"testing"

	"wsfpm/fcgi/fcgitest"
	"wsfpm/gateway/config"
)

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
