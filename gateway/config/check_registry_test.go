package config

import (
	"strings"
	"testing"
	"time"
)

func TestTheRegistryNeedsARedisThatHoldsIt(t *testing.T) {
	for name, c := range map[string]struct {
		redis, prefix string
		channels      []string
		registry      bool
		once          Duration
		want          string // in the only problem; "" none
	}{
		"off":                   {},
		"one Redis":             {redis: "redis://127.0.0.1", registry: true, channels: []string{"lobby", "room-*", "*"}},
		"embedded":              {redis: "embedded", registry: true},
		"registry, no Redis":    {registry: true, want: "route[1].registry: needs Redis"},
		"presence, no Redis":    {channels: []string{"*"}, want: "presence: needs Redis"},
		"a Cluster":             {redis: "redis://a:1,b:1/?cluster=true", registry: true, want: `"{ws}:"`},
		"a Cluster with a tag":  {redis: "redis://a:1,b:1/?cluster=true", prefix: "{ws}:", registry: true},
		"an empty tag":          {redis: "redis://a:1,b:1/?cluster=true", prefix: "{}ws:", registry: true, want: "hash tag"},
		"a tag that comes late": {redis: "redis://a:1,b:1/?cluster=true", prefix: "}w{s}:", registry: true},
		"a tag without an end":  {redis: "redis://a:1,b:1/?cluster=true", prefix: "{ws:", registry: true, want: "hash tag"},
		"presence, a Cluster":   {redis: "redis://a:1,b:1/?cluster=true", channels: []string{"*"}, want: `presence: needs one hash slot`},
		"once, a Cluster":       {redis: "redis://a:1,b:1/?cluster=true", once: Duration(time.Minute), want: `route[1].once: needs one hash slot`},
		"once, a tag":           {redis: "redis://a:1,b:1/?cluster=true", prefix: "{ws}:", once: Duration(time.Minute)},
		"once, Sentinel":        {redis: "redis://a:1,b:1/?master_name=m", once: Duration(time.Minute), registry: true},
		"a pattern of no name":  {redis: "embedded", channels: []string{"a,b"}, want: "presence.channels"},
		"a pattern of no bytes": {redis: "embedded", channels: []string{""}, want: "presence.channels"},
	} {
		cfg := Default()
		cfg.Node = "web1"
		cfg.FPM[DefaultPool] = NewFPM(DefaultPool, "unix:/run/php.sock")
		cfg.Routes = []*Route{NewRoute("/ws", "/srv/ws.php")}
		cfg.Routes[0].Registry, cfg.Redis.URL, cfg.Presence.Channels = c.registry, c.redis, c.channels
		cfg.Routes[0].Once = c.once
		if c.prefix != "" {
			cfg.Redis.Prefix = []string{c.prefix}
		}
		err := cfg.Check()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: got %v, want no problem", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Count(err.Error(), "\n") > 1):
			t.Errorf("%s: got %v, want one problem with %s", name, err, c.want)
		}
	}
}
