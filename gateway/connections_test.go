package gateway

import (
	"sync"
	"testing"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
)

func TestConnectionsDuringHandshakes(t *testing.T) {
	h := start(t, echo, func(c *config.Config) { c.Routes[0].Protocols = []string{"v1"} })
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				for range h.Connections() {
				}
			}
		}
	})
	for range 30 {
		h.dial("/", &websocket.DialOptions{Subprotocols: []string{"v1"}})
	}
	close(stop)
	wg.Wait()
}
