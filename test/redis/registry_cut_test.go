package redistest

import (
	"testing"
	"time"

	"wsfpm/test/stack"
)

// The times of the registry: how long a node's beat may not change, and how often it beats.
const (
	lease    = 45 * time.Second
	beatTime = 5 * time.Second
)

// TestANodeCutOffFromRedisGoesOnUntilItFindsItsTombstone is the row "cut from Redis only" of
// the failure matrix.
func TestANodeCutOffFromRedisGoesOnUntilItFindsItsTombstone(t *testing.T) {
	t.Parallel()
	row(t, "8.paused", "8.rare", "8.dead-once")
	server := stack.Redis(t, stack.RedisOptions{})
	link := stack.Proxy(t, server.Addr)
	trace := stack.NewTrace(t)
	one := registryNode(t, "one", "redis://"+link.Addr+"/0", trace, "")
	registryNode(t, "two", server.URL(), trace, "")
	a, b := one.dial(t, "WS-User: a", "WS-Join: lobby"), one.dial(t, "WS-User: b", "WS-Join: lobby")
	link.Cut()
	stack.WaitWithin(t, deathTime, "the disconnect events", func() bool { return len(trace.Of("disconnect")) == 2 })
	waitMembers(t, server, "channel:lobby", "map[]")
	a.do("goes on") // nothing has told this node
	link.Mend()
	a.ExpectClose(1012)
	b.ExpectClose(1012)
	again := one.dial(t, "WS-User: a", "WS-Join: lobby")
	waitMembers(t, server, "channel:lobby", "map[user:a:1]")
	again.do("is back")
	equal(t, "disconnect events", len(trace.Of("disconnect")), 2)
	equal(t, "events that another node had run", one.Metric(t, "wsfpm_registry_taken_over_total"), 2.0)
}

// TestNothingIsTakenForDeadWhileRedisIsAway is the row "Redis down": an outage longer than the
// lease makes every beat old, and no node dead. The node that is back first waits.
func TestNothingIsTakenForDeadWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	row(t, "8.outage")
	server := stack.Redis(t, stack.RedisOptions{})
	trace := stack.NewTrace(t)
	var links [2]*stack.Link
	var nodes [2]node
	for i, name := range []string{"one", "two"} {
		links[i] = stack.Proxy(t, server.Addr)
		nodes[i] = registryNode(t, name, "redis://"+links[i].Addr+"/0", trace, "")
	}
	a, b := nodes[0].dial(t, "WS-User: a", "WS-Join: lobby"), nodes[1].dial(t, "WS-User: b", "WS-Join: lobby")
	waitMembers(t, server, "channel:lobby", "map[user:a:1 user:b:1]")
	for _, n := range nodes {
		stack.Wait(t, "the nodes to see each other", func() bool { return n.Metric(t, "wsfpm_registry_nodes") == 2 })
	}
	links[0].Cut()
	links[1].Cut()
	began := time.Now()
	stack.WaitWithin(t, deathTime, "the lease to be over", func() bool { return time.Since(began) > lease })
	a.do("goes on")
	for i, n := range nodes {
		links[i].Mend()
		back := float64(time.Now().UnixMilli()) / 1000
		stack.WaitWithin(t, deathTime, "two beats", func() bool {
			return n.Metric(t, "wsfpm_registry_beat_timestamp_seconds") > back+beatTime.Seconds()
		})
	}
	a.do("is here")
	b.do("is here")
	for _, n := range nodes {
		equal(t, "claims", n.Metric(t, "wsfpm_registry_claims_total"), 0)
	}
	waitMembers(t, server, "channel:lobby", "map[user:a:1 user:b:1]")
	equal(t, "disconnect events", len(trace.Of("disconnect")), 0)
}
