package gateway

import (
	"fmt"
	"sync/atomic"
	"testing"

	"wsfpm/gateway/config"
)

// A purge does not find the cache of a route that a reload has removed.
func TestClientsOfARouteThatIsGoneGetNoAnswerFromBeforeAPurge(t *testing.T) {
	var price atomic.Int64
	h := start(t, func(params map[string]string, _ string) (string, string) {
		if params["WS_EVENT"] != "message" {
			return "Status: 204", ""
		}
		return forAll, fmt.Sprint(price.Load())
	}, cached)
	p := h.dial("/shop", nil)
	for range 3 {
		p.asks("price", "0")
	}
	h.reloaded(func(c *config.Config) { c.Routes[0].Path = "/moved" })
	for range 3 {
		p.asks("price", "0")
	}
	price.Add(1)
	h.settings.Load().purge([]string{"*"})
	p.asks("price", "1")
}

// Clients keep the route of their handshake, and would keep the memory of its cache.
func TestAReloadFreesTheMemoryOfTheCache(t *testing.T) {
	h := start(t, counting(forAll), cached)
	p := h.dial("/", nil)
	for i := range 3 {
		p.asks("x", fmt.Sprintf("x %d", min(i+1, 2)))
	}
	old := h.settings.Load().routes[0].cache
	h.reloaded(func(*config.Config) {})
	if n := old.Bytes(); n != 0 {
		t.Errorf("%d bytes are held by the cache of an earlier configuration", n)
	}
	p.asks("x", "x 3")
}
