package gateway

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"wsfpm/gateway/config"
	"wsfpm/session"
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

// A misspelt path must not look like a purge that worked.
func TestAPurgeOfAnUnknownPathIsReported(t *testing.T) {
	t.Log("contract-row: 4.purge-unknown")
	h := start(t, counting(forAll), func(c *config.Config) {
		cached(c)
		c.Routes[0].Path = "/shop"
	})
	for range 2 {
		h.fanout.deliver(&session.Command{Purge: []string{"/shop", "/typo", "*"}})
	}
	if lines := h.log.FilterMessageSnippet("purge of a path that no route of this node has"); lines.Len() != 1 || lines.All()[0].ContextMap()["path"] != "/typo" {
		t.Errorf("got %v, want one line about /typo", lines.All())
	}
	p := h.dial("/shop", nil)
	p.asks("x", "x 1")
	p.asks("x", "x 2")
	_, err := h.Push(t.Context(), []session.Command{{Purge: []string{"/shop"}}, {Purge: []string{"/typo"}}})
	if wrong := new(PushError); !errors.As(err, &wrong) || !strings.Contains(err.Error(), `command 2: no route of this node has the path "/typo"`) {
		t.Errorf("got %v", err)
	}
	p.asks("x", "x 2") // nothing of that was done
	if _, err := h.Push(t.Context(), []session.Command{{Purge: []string{"/shop"}}}); err != nil {
		t.Error(err)
	}
	p.asks("x", "x 3")
}

// Clients stay connected for hours: after a reload the cache is theirs as much as new ones'.
func TestClientsFromBeforeAReloadFillTheCacheAgain(t *testing.T) {
	h := start(t, counting(forAll), cached)
	p := h.dial("/", nil)
	for i := range 3 {
		p.asks("x", fmt.Sprintf("x %d", min(i+1, 2)))
	}
	h.reloaded(func(*config.Config) {})
	p.asks("x", "x 3")
	p.asks("x", "x 4")
	for range 2 {
		p.asks("x", "x 4")
		h.dial("/", nil).asks("x", "x 4")
	}
}

// They keep the script of their handshake, and its answers.
func TestClientsFromBeforeAReloadGetNoAnswersOfItsScript(t *testing.T) {
	h := start(t, func(params map[string]string, _ string) (string, string) {
		if params["WS_EVENT"] != "message" {
			return "Status: 204", ""
		}
		return forAll, params["SCRIPT_FILENAME"]
	}, cached)
	before := h.dial("/", nil)
	old := h.settings.Load().routes[0].Script
	h.reloaded(func(c *config.Config) { c.Routes[0].Script = "/srv/app/next.php" })
	after := h.dial("/", nil)
	for range 4 {
		after.asks("x", "/srv/app/next.php")
		before.asks("x", old)
	}
	if s := h.Stats(); s.Cache.Hits != 4 || s.Cache.Misses != 4 {
		t.Errorf("got %+v, want two runs of each script", s.Cache)
	}
}
