package gateway

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wsfpm/gateway/config"
	"wsfpm/gateway/redis"
	"wsfpm/gateway/registry"
	"wsfpm/session"
)

// claimingStore calls before, once, when a record with a certain text is about to be written.
type claimingStore struct {
	registry.Store
	text   string
	before atomic.Pointer[func()]
}

func (s *claimingStore) Pipeline(ctx context.Context, commands ...[]any) []redis.Reply {
	for _, command := range commands {
		for _, arg := range command {
			if text, ok := arg.(string); ok && strings.Contains(text, s.text) {
				if before := s.before.Swap(nil); before != nil {
					(*before)()
				}
			}
		}
	}
	return s.Store.Pipeline(ctx, commands...)
}

// A node finds out that others have claimed it while a client enters: the client is not among
// those that are sent away then, and must be all the same.
func TestAClientThatEntersWhileTheNodeIsClaimedIsSentAway(t *testing.T) {
	inner := embeddedStore(t)
	store := &claimingStore{Store: inner, text: "channel:room-2"}
	h := startMore(t, func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] != "connect" {
			return "", body
		}
		return "WS-Join: room-" + params["QUERY_STRING"] + "\r\n", ""
	}, func(cfg *config.Config) {
		cfg.Presence = config.Presence{Channels: []string{"room-*"}}
	}, func(o *Options) { o.Registry = store })
	p := h.dial("/ws?1", nil)
	eventually(t, "the first client", func() bool { return len(h.clients()) == 1 })
	node, first := h.registry.Node(), h.clients()[0].entry
	before := func() {
		if _, err := inner.Do(context.Background(), "set", "ws:node:"+node+":claimed", "other"); err != nil {
			t.Error(err)
		}
		h.registry.Changed(first, session.Membership{}, session.Membership{User: "42", Channels: []string{"room-1"}}) // has it find out
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(30 * time.Second); first.Valid(); <-tick.C {
			if time.Now().After(deadline) {
				t.Error("the node has not found out that it is claimed")
				return
			}
		}
	}
	store.before.Store(&before)
	q := h.dial("/ws?2", nil)
	p.wantClose(1012)
	q.wantClose(1012)
	eventually(t, "the disconnect event", func() bool {
		n := 0
		for _, e := range h.seen("disconnect") {
			if e["WS_CHANNELS"] == "room-2" {
				n++
			}
		}
		return n == 1
	})
}
