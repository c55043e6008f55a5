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
	r.positive("redis.confirm", int64(c.Redis.Confirm), `a duration, such as "1s"`)
	r.positive("redis.push_limit", int64(c.Redis.PushLimit), `a size, such as "1MiB"`)
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
	for i, relay := range c.Redis.Relays {
		if slices.ContainsFunc(c.Redis.Relays[:i], func(other Relay) bool { return other.Pattern == relay.Pattern }) {
			r.bad(indexed("redis.relay", i+1)+".pattern", "%q is there twice", clip(relay.Pattern))
		}
		if len(c.Redis.Prefix) > 0 {
			relay.check(r, indexed("redis.relay", i+1), c.Redis.Prefix[0])
		}
	}
}

// leastWindow is the smallest useful durable.memory: a few messages of redis.push_limit.
const leastWindow = 4

func (c *Config) checkDurable(r *report) {
	d := &c.Durable
	if d.Stream == "" && len(c.Redis.Prefix) > 0 {
		d.Stream = c.Redis.Prefix[0] + "log"
	}
	if strings.ContainsFunc(d.Stream, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		r.bad("durable.stream", `%q: write visible characters, such as "ws:log"`, clip(d.Stream))
	}
	if least := leastWindow * c.Redis.PushLimit; d.Memory < least {
		r.bad("durable.memory", "%v: write at least %v, %d times redis.push_limit", d.Memory, least, leastWindow)
	}
	if d.Replay < 1 {
		r.bad("durable.replay", "%d: write at least 1", d.Replay)
	}
	r.oneOf("durable.tag", d.Tag, TagAuto, TagNone)
}

// checkRegistry checks what keeps records and counts in Redis.
func (c *Config) checkRegistry(r *report) {
	for _, pattern := range c.Presence.Channels {
		if err := session.CheckName(strings.ReplaceAll(pattern, "*", "x")); err != nil {
			r.bad("presence.channels", `%q: %v: write names of channels, in which "*" stands for any text, such as "room-*"`, clip(pattern), err)
		}
	}
	if c.Presence.On() {
		c.checkRegistryRedis(r, "presence")
	}
	for i, route := range c.Routes {
		if route.Registry {
			c.checkRegistryRedis(r, indexed("route", i+1)+".registry")
		}
	}
}

// checkRegistryRedis checks whether Redis can hold the registry.
func (c *Config) checkRegistryRedis(r *report, key string) {
	if c.Redis.URL == "" {
		r.bad(key, `needs Redis: set redis.url, for development to "embedded"`)
		return
	}
	c.checkSlot(r, key)
}

// checkSlot checks whether all keys are in one hash slot of a Cluster: scripts of the
// registry, and of the nodes' beats, change several.
func (c *Config) checkSlot(r *report, key string) {
	u, err := redisurl.Parse(c.Redis.URL)
	if err != nil || u.Kind != redisurl.Cluster || len(c.Redis.Prefix) == 0 {
		return
	}
	prefix := c.Redis.Prefix[0]
	if _, rest, _ := strings.Cut(prefix, "{"); strings.IndexByte(rest, '}') < 1 {
		r.bad(key, `needs one hash slot of the Cluster: write redis.prefix with a hash tag, such as "{%s}:"`, clip(strings.TrimSuffix(prefix, ":")))
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

func (relay Relay) check(r *report, key, prefix string) {
	head, tail, wild := strings.Cut(relay.Pattern, "*")
	switch {
	case relay.Pattern == "":
		r.bad(key+".pattern", `is missing: write a Redis channel, such as "pub.*"`)
	case !wild || strings.ContainsAny(head+tail, `*?[]\`):
		r.bad(key+".pattern", `%q: write exactly one "*", and none of ? [ ] \`, clip(relay.Pattern))
	}
	if wild && (strings.HasPrefix(head, prefix) || strings.HasPrefix(prefix, head)) {
		r.bad(key+".pattern", "%q matches our own prefix %q: pushes would be relayed in a loop; write a pattern that no channel of ours matches", clip(relay.Pattern), prefix)
	}
	if relay.Format != "" && relay.Format != RelayLaravel {
		r.bad(key+".format", `%q is unknown: write %q, or remove it`, clip(relay.Format), RelayLaravel)
	}
	example := strings.ReplaceAll(relay.To, "{name}", "x")
	if _, err := session.ParseAddress(example); err != nil || strings.ContainsAny(example, "{}") {
		r.bad(key+".to", `%q is not an address: write conn:<id>, user:<name>, channel:<name> or all, such as "channel:{name}"`, clip(relay.To))
	}
}
