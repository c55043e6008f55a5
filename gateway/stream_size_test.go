package gateway

import (
	"fmt"
	"strings"
	"testing"

	"wsfpm/fcgi/fcgitest"
	"wsfpm/gateway/config"
)

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
