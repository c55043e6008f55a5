package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	redisserver "github.com/alicebob/miniredis/v2/server"

	"wsfpm/gateway/config"
	"wsfpm/gateway/redisurl"
	"wsfpm/test/stack"
)

// redisConfig is the default with this URL.
func redisConfig(url string) config.Redis {
	c := config.Default().Redis
	c.URL = url
	return c
}

func TestDialReportsWhyRedisIsUnusable(t *testing.T) {
	const secret = "pass-word"
	redis := miniredis.RunT(t)
	redis.RequireUserAuth("app", secret)
	relayed := redisConfig("redis://app:" + secret + "@" + redis.Addr())
	relayed.Relays = []config.Relay{{Pattern: "pub.*", To: "channel:{name}"}}
	for _, test := range []struct {
		name    string
		cfg     config.Redis
		refused string // a channel or pattern that the ACL has not
		want    string // "" for no problem
	}{
		{"none", redisConfig(""), "", ""},
		{"embedded", redisConfig(redisurl.Embedded), "", ""},
		{"a good one", relayed, "", ""},
		{"no server", redisConfig("redis://app:" + secret + "@" + stack.FreeAddress(t)), "", "connection refused"},
		{"no socket", redisConfig("unix://app:" + secret + "@/none/redis.sock"), "", "no such file"},
		{"a wrong password", redisConfig("redis://app:not-" + secret + "@" + redis.Addr()), "", "WRONGPASS"},
		{"no password", redisConfig("redis://" + redis.Addr()), "", "NOAUTH"},
		{"an ACL without a channel", relayed, "ws:all", "NOPERM"},
		{"an ACL without the command channel", relayed, "ws:command", "NOPERM"},
		{"an ACL without a relay's pattern", relayed, "pub.*", "NOPERM"},
	} {
		redis.Server().SetPreHook(func(c *redisserver.Peer, _ string, args ...string) bool {
			if !slices.Contains(args, test.refused) {
				return false
			}
			c.WriteError("NOPERM No permissions to access a channel")
			return true
		})
		got := dialRedis(test.cfg)
		if test.want == "" && len(got) == 0 {
			continue
		}
		if test.want == "" || len(got) != 1 || !strings.HasPrefix(got[0], "redis.url: ") || !strings.Contains(got[0], test.want) {
			t.Errorf("%s: got %q, want a problem with %q", test.name, got, test.want)
		}
		if strings.Contains(strings.Join(got, ""), secret) {
			t.Errorf("%s: %q has the password", test.name, got)
		}
	}
}
