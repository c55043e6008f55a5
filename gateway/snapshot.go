package gateway

import (
	"iter"
	"maps"
	"time"

	"wsfpm/fcgi"
	"wsfpm/gateway/delivery"
	"wsfpm/gateway/once"
	"wsfpm/gateway/registry"
	"wsfpm/gateway/ws"
)

// Stats is a snapshot of the gateway's counters.
type Stats struct {
	Node        string
	Connections int   // open now
	Opened      int64 // upgraded since the start
	Draining    bool

	Sockets  Sockets
	Refusals map[Refusal]int64
	Late     int64         // connections that sent no complete handshake in time
	Broken   int64         // connections that ended during a handshake, or sent no valid one
	TLS      int64         // connections that began with TLS
	Closes   map[int]int64 // ended connections by code; 3000 is any of an application's own
	Events   []EventStats

	Limits           map[string]int64 // how often each limit on clients was reached, by key
	Throttled        int64            // messages delayed by messages_per_second
	Dropped          int64            // messages queued when their connection was lost
	PublishFailed    int64
	JoinsUnconfirmed int64
	Resumes          map[string]int64 // connects with a position, by outcome: ok, gap, late_gap
	Once             once.Stats
	Frames           map[string]int64 // frames that a relay took, by outcome
	Resynced         int64            // clients closed because relayed frames were lost
	Registry         *registry.Stats  // nil: there is none
	OnceMany         int64            // messages that run once, beyond the ten of a client
	Cache            CacheStats
	DisconnectsLost  int64          // disconnect events given up
	Disconnects      map[string]int // queued and running, by pool
	Panics           int64

	Delivered      int64 // pushes and commands, per connection
	Delivery       delivery.Stats
	InboundBytes   int64 // of messages being received or waiting
	OutboundBytes  int64 // queued for clients that do not keep up
	Socket         ws.Snapshot
	Pools          map[string]fcgi.Stats
	Streams        map[string]int   // running, by pool
	StreamsRefused map[string]int   // beyond max_streams, by pool
	Failovers      map[string]int64 // events passed on to the next pool, by pool
}

// CacheStats counts the messages on routes with a cache, by what answered them.
type CacheStats struct {
	Hits   int64 // an answer of the cache
	Waits  int64 // the run of another message, for which they waited
	Misses int64 // their own run
	Bytes  int64 // memory in use now, by estimate
}

// cached returns the counters of all caches.
func (g *Gateway) cached() CacheStats {
	s := &g.stats.cached
	out := CacheStats{Hits: s.Hits.Load(), Waits: s.Waits.Load(), Misses: s.Misses.Load()}
	for _, rt := range g.settings.Load().routes {
		if rt.cache != nil {
			out.Bytes += rt.cache.Bytes()
		}
	}
	return out
}

// EventStats counts the events of one kind and outcome.
type EventStats struct {
	Kind, Outcome string
	Buckets       map[float64]uint64 // cumulative, by upper bound in seconds
	Count         uint64
	Sum           float64 // seconds
}

// Stats returns the current counters.
func (g *Gateway) Stats() Stats {
	s := &g.stats
	out := Stats{
		Node: g.Node(), Connections: g.hub.Len(), Opened: s.opened.Load(),
		Throttled: s.throttled.Load(), Dropped: s.dropped.Load(), Delivered: s.delivered.Load(), Delivery: g.fanout.Stats(),
		PublishFailed: s.publishFailed.Load(), JoinsUnconfirmed: s.joinsUnconfirmed.Load(), OnceMany: s.onceMany.Load(),
		DisconnectsLost: s.disconnectsLost.Load(), Panics: s.panics.Load(), Resynced: s.resynced.Load(), TLS: s.tls.Load(),
		InboundBytes: g.sockets.Memory.Used(), OutboundBytes: g.sockets.Outgoing.Used(), Socket: g.sockets.Stats.Snapshot(),
		Pools: make(map[string]fcgi.Stats), Streams: make(map[string]int), StreamsRefused: make(map[string]int),
		Disconnects: make(map[string]int), Failovers: make(map[string]int64),
	}
	s.mu.Lock()
	out.Refusals, out.Closes = maps.Clone(s.refusals), maps.Clone(s.closes)
	s.mu.Unlock()
	out.Resumes = make(map[string]int64)
	for i, name := range resumeOutcomes {
		out.Resumes[name] = s.resumes[i].Load()
	}
	out.Frames = make(map[string]int64)
	for i, name := range frameOutcomes {
		out.Frames[name] = s.frames[i].Load()
	}
	out.Sockets, out.Late, out.Broken = g.accepted.snapshot()
	out.Limits = g.limits(&out)
	out.Cache = g.cached()
	if g.guard != nil {
		out.Once = g.guard.Stats()
	}
	if g.registry != nil {
		r := g.registry.Stats()
		out.Registry = &r
	}
	g.mu.Lock()
	out.Draining = g.draining
	g.mu.Unlock()
	g.reload.Lock()
	for name, p := range g.pools {
		out.Pools[name] = p.Stats()
		out.Streams[name], out.StreamsRefused[name] = p.streams.counts()
		out.Disconnects[name], out.Failovers[name] = p.disconnects(), p.passed.events.Load()
	}
	g.reload.Unlock()
	for k := range kinds {
		for i, name := range outcomes {
			if e := s.durations[k][i].snapshot(); e.Count > 0 {
				e.Kind, e.Outcome = k.String(), name
				out.Events = append(out.Events, e)
			}
		}
	}
	return out
}

func (h *histogram) snapshot() EventStats {
	e := EventStats{Buckets: make(map[float64]uint64, len(buckets)), Sum: time.Duration(h.sum.Load()).Seconds()}
	for i := range h.counts {
		e.Count += uint64(h.counts[i].Load())
		if i < len(buckets) {
			e.Buckets[buckets[i]] = e.Count
		}
	}
	return e
}

// limits returns how often each limit on clients was reached, by key of the configuration.
// All keys are always present.
func (g *Gateway) limits(s *Stats) map[string]int64 {
	r, sockets := &g.stats.reached, &s.Socket
	limits := map[string]int64{
		"connections":             0,
		"connections_per_address": 0,
		"connections_per_user":    g.admission.ofUsers.Load(),
		"accept_rate":             0,
		"handshake_timeout":       s.Late,
		"handshake_headers":       0,
		"handshake_header_count":  0,
		"channels":                r.channels.Load(),
		"messages_per_second":     s.Throttled,
		"relay_per_second":        r.relayed.Load(),
		"relay_frame":             g.stats.frames[frameTooLarge].Load(),
		"message_limit":           sockets.MessagesTooLarge,
		"max_fragments":           sockets.TooManyFragments,
		"assembly_timeout":        sockets.MessagesTooSlow,
		"control_rate":            sockets.TooManyControls,
		"queue":                   sockets.QueueFull,
		"queue_messages":          sockets.QueueTooLong,
		"write_timeout":           sockets.WritesStalled,
		"inbound_memory":          sockets.MemoryWaits,
		"outbound_memory":         sockets.OutgoingFull,
		"backlog":                 r.backlog.Load(),
		"pong_timeout":            sockets.PongsMissed,
		"lifetime":                r.lifetime.Load(),
		"idle":                    r.idle.Load(),
	}
	for refused, n := range s.Refusals {
		switch refused.Reason {
		case "connections", "connections_per_address", "accept_rate", "handshake_headers", "handshake_header_count":
			limits[refused.Reason] += n
		}
	}
	return limits
}

// Connection describes one client for operators.
type Connection struct {
	ID       string    `json:"id"`
	User     string    `json:"user,omitempty"`
	Channels []string  `json:"channels,omitempty"`
	Path     string    `json:"path"`
	Script   string    `json:"script"`
	Remote   string    `json:"remote"`
	Protocol string    `json:"protocol,omitempty"`
	Since    time.Time `json:"since"`
	Queued   int64     `json:"queued"` // bytes
}

// Connections iterates over the clients of this process, in no order.
func (g *Gateway) Connections() iter.Seq[Connection] {
	return func(yield func(Connection) bool) {
		for _, c := range g.clients() {
			membership := c.session.Membership()
			seen := Connection{
				ID: c.id(), User: membership.User, Channels: membership.Channels,
				Path: c.rt.Path, Script: c.script.Value(), Remote: c.client.addr.String(),
				Protocol: c.protocol, Since: c.since, Queued: c.socket.Buffered(),
			}
			if !yield(seen) {
				return
			}
		}
	}
}
