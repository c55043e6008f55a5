package gateway

import (
	"testing"
	"time"

	"wsfpm/gateway/config"
)

// reloaded is h's configuration after a change.
func (h *harness) reloaded(change func(*config.Config)) {
	h.t.Helper()
	cfg := *h.settings.Load().Config
	routes := make([]*config.Route, len(cfg.Routes))
	for i, r := range cfg.Routes {
		route := *r
		routes[i] = &route
	}
	cfg.Routes = routes
	change(&cfg)
	if _, err := h.Reload(&cfg); err != nil {
		h.t.Fatal(err)
	}
}

func TestReloadedLimitsCountForLiveConnections(t *testing.T) {
	h := start(t, echo, nil)
	p := h.dial("/", nil)
	p.send("as long as it was")
	p.want("as long as it was")
	h.reloaded(func(c *config.Config) { c.Routes[0].MessageLimit = 4 })
	p.send("four")
	p.want("four")
	p.send("longer")
	p.wantClose(1009)
}

func TestReloadedLimitsCountWhereTheRouteIsGone(t *testing.T) {
	h := start(t, echo, nil)
	p := h.dial("/", nil)
	p.CloseRead(t.Context())
	h.reloaded(func(c *config.Config) {
		c.Routes[0].Path = "/moved"
		c.Limits.ControlRate, c.Limits.ControlBurst = 1e-9, 1
	})
	for range 2 {
		_ = p.Ping(t.Context()) // the second is one too many
	}
	eventually(t, "the end", func() bool { return len(h.seen("disconnect")) == 1 })
	if got := h.seen("disconnect")[0]["WS_CLOSE_CODE"]; got != "1008" {
		t.Errorf("closed with %s, want 1008", got)
	}
}

func TestPingsFollowAReload(t *testing.T) {
	h := start(t, echo, func(c *config.Config) { c.Limits.PingInterval = 0 })
	p := h.dial("/", nil)
	p.CloseRead(t.Context())
	h.reloaded(func(c *config.Config) { c.Limits.PingInterval = config.Duration(time.Millisecond) })
	eventually(t, "a ping", func() bool { return h.Stats().Socket.PingsSent > 0 })
}

func TestARefusedReloadChangesNothing(t *testing.T) {
	h := start(t, echo, nil)
	for name, spoil := range map[string]func(*config.Config){
		"a pool": func(c *config.Config) {
			c.FPM["worse"] = &config.FPM{Name: "worse", Network: "carrier pigeon", Addr: "coop"}
		},
		"a running pool": func(c *config.Config) { c.FPM["default"].PoolShare = 2 },
		"a route":        func(c *config.Config) { c.Routes[0].FPM = "nowhere" },
	} {
		cfg := *h.settings.Load().Config
		pool, rt := *cfg.FPM["default"], *cfg.Routes[0]
		cfg.FPM, cfg.Routes = map[string]*config.FPM{"default": &pool}, []*config.Route{&rt}
		pool.MaxConnections = 2
		spoil(&cfg)
		if _, err := h.Reload(&cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
		if got := h.Stats().Pools; len(got) != 1 || got["default"].Config != 8 {
			t.Errorf("%s: got %d pools, max_connections %d, want 1 and 8", name, len(got), got["default"].Config)
		}
	}
}

func TestReloadNamesWhatNeedsARestartUntilThen(t *testing.T) {
	h := start(t, echo, nil)
	started := h.settings.Load().Config
	changed := *started
	changed.Node = "another"
	for range 2 {
		if keys, err := h.Reload(&changed); err != nil || len(keys) != 1 || keys[0] != "node" {
			t.Errorf("got %q, %v; want node", keys, err)
		}
	}
	if keys, err := h.Reload(started); err != nil || len(keys) > 0 {
		t.Errorf("got %q, %v for what it was started with", keys, err)
	}
}

func TestPoolThatAReloadTookAwayIsNotShown(t *testing.T) {
	h := start(t, echo, nil)
	h.reloaded(func(c *config.Config) {
		c.FPM = map[string]*config.FPM{"renamed": c.FPM["default"]}
		c.Routes[0].FPM = "renamed"
	})
	if pools := h.Stats().Pools; len(pools) != 1 {
		t.Errorf("got %d pools, want the renamed one", len(pools))
	}
}
