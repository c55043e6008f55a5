package config

import (
	"slices"
	"strings"

	"wsfpm/gateway/redisurl"
	"wsfpm/session"
)

func (c *Config) checkRedis(r *report) {
	c.Redis.checkURL(r)
	if c.Redis.URL == redisurl.Embedded {
		r.listenAddress("redis.listen", c.Redis.Listen)
	}
	if c.Redis.Confirm <= 0 {
		r.bad("redis.confirm", `0: write a duration, such as "1s"`)
	}
	if c.Redis.PushLimit < 1 {
		r.bad("redis.push_limit", `0: write a size, such as "1MiB"`)
	}
	if len(c.Redis.Prefix) == 0 {
		r.bad("redis.prefix", `is empty: write a prefix, such as "ws:"`)
	}
	for i, prefix := range c.Redis.Prefix {
		switch {
		case prefix == "" || strings.ContainsFunc(prefix, func(r rune) bool { return r <= ' ' || r == 0x7f }):
			r.bad("redis.prefix", `%q: write 1 or more visible characters, such as "ws:"`, clip(prefix))
		case slices.Index(c.Redis.Prefix, prefix) < i:
			r.bad("redis.prefix", "%q is there twice", clip(prefix))
		}
		for _, other := range c.Redis.Prefix {
			if other != "" && other != prefix && strings.HasPrefix(prefix, other) {
				r.bad("redis.prefix", "%q begins with %q: names would be ambiguous, so choose others", clip(prefix), clip(other))
			}
		}
	}
	for i := range c.Redis.Relays {
		c.Redis.Relays[i].check(r, indexed("redis.relay", i+1), c.Redis.Prefix)
	}
}

func (c *Redis) checkURL(r *report) {
	if c.URL == "" || c.URL == redisurl.Embedded {
		return
	}
	if _, err := redisurl.Parse(c.URL); err != nil {
		r.bad("redis.url", "%v", err)
	}
}

func (relay Relay) check(r *report, key string, prefixes []string) {
	head, tail, wild := strings.Cut(relay.Pattern, "*")
	switch {
	case relay.Pattern == "":
		r.bad(key+".pattern", `is missing: write a Redis channel, such as "pub.*"`)
	case !wild || strings.ContainsAny(head+tail, `*?[]\`):
		r.bad(key+".pattern", `%q: write exactly one "*", and none of ? [ ] \`, clip(relay.Pattern))
	}
	for _, prefix := range prefixes {
		if wild && (strings.HasPrefix(head, prefix) || strings.HasPrefix(prefix, head)) {
			r.bad(key+".pattern", "%q matches our own prefix %q: pushes would be relayed in a loop; write a pattern that no channel of ours matches", clip(relay.Pattern), prefix)
		}
	}
	if _, err := session.ParseAddress(strings.ReplaceAll(relay.To, "{name}", "x")); err != nil {
		r.bad(key+".to", `%q is not an address: write conn:<id>, user:<name>, channel:<name> or all, such as "channel:{name}"`, clip(relay.To))
	}
}
