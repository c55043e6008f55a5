package config

import "math"

// checkLimits checks the limits and their consistency.
func (c *Config) checkLimits(r *report) {
	l := &c.Limits
	for _, n := range []struct {
		key   string
		value float64
		least float64
	}{
		{"connections", float64(l.Connections), 0},
		{"connections_per_address", float64(l.ConnectionsPerAddress), 0},
		{"connections_per_user", float64(l.ConnectionsPerUser), 0},
		{"accept_rate", l.AcceptRate, 0},
		{"accept_burst", float64(l.AcceptBurst), atLeastOneIf(l.AcceptRate > 0)},
		{"channels", float64(l.Channels), 0},
		{"messages_per_second", l.MessagesPerSecond, 0},
		{"burst", float64(l.Burst), atLeastOneIf(l.MessagesPerSecond > 0)},
		{"relay_per_second", l.RelayPerSecond, 0},
		{"queue_messages", float64(l.QueueMessages), 0},
		{"backlog", float64(l.Backlog), 1},
		{"backlog_bytes", float64(l.BacklogBytes), 1},
		{"handshake_headers", float64(l.HandshakeHeaders), 8 << 10},
		{"handshake_header_count", float64(l.HandshakeHeaderCount), 0},
		{"max_fragments", float64(l.MaxFragments), 0},
		{"control_rate", l.ControlRate, 0},
		{"control_burst", float64(l.ControlBurst), atLeastOneIf(l.ControlRate > 0)},
	} {
		if !(n.value >= n.least && n.value <= 1<<53) { // NaN fails both
			r.bad("limits."+n.key, "%v: write at least %v", n.value, n.least)
		}
	}
	c.checkRelayFrame(r)
	if n := l.HandshakeHeaderCount; n > 0 && n < leastHeaders {
		r.bad("limits.handshake_header_count", "%d: write at least %d, or 0 for no limit: a browser behind nginx sends some 15", n, leastHeaders)
	}
}

// frameHead is room for what stands in front of a relayed frame in Redis, in bytes.
const frameHead = 1 << 10

// MostFrame returns the size of the largest relayed frame that other nodes take from Redis, with
// its sender around it if others get it so. Without Redis any frame is delivered.
func (r *Redis) MostFrame() Size {
	if r.URL == "" {
		return math.MaxInt64
	}
	return max(r.PushLimit-frameHead, 1)
}

// checkRelayFrame keeps relayed frames within redis.push_limit: the nodes that should deliver a
// longer one would drop it. A small push_limit lowers the default.
func (c *Config) checkRelayFrame(r *report) {
	l, most := &c.Limits, c.Redis.MostFrame()
	switch {
	case l.RelayFrame <= most:
	case l.RelayFrame <= Default().Limits.RelayFrame:
		l.RelayFrame = most
	default:
		r.bad("limits.relay_frame", "%v: write at most %v, or raise redis.push_limit: of %v, less 1KiB for the sender, longer frames are dropped", l.RelayFrame, most, c.Redis.PushLimit)
	}
}

// leastHeaders is the smallest useful limit of headers.
const leastHeaders = 20

// atLeastOneIf is the minimum capacity of a token bucket.
func atLeastOneIf(inUse bool) float64 {
	if inUse {
		return 1
	}
	return 0
}
