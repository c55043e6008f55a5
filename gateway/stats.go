package gateway

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"wsfpm/fcgi"
	"wsfpm/gateway/delivery"
	"wsfpm/gateway/ws"
)

// buckets are the upper bounds of the event durations that are counted, in
// seconds.
var buckets = [...]float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

// outcomes are the labels under which events are counted, see outcome.
var outcomes = [...]string{"ok", "answer", "overloaded", "timeout", "canceled", "unavailable", "cut", "refused"}

// stats counts what the gateway does. All of it may be used concurrently.
type stats struct {
	opened           atomic.Int64
	throttled        atomic.Int64 // messages that waited for the limit per second
	dropped          atomic.Int64 // messages that waited when their connection broke
	delivered        atomic.Int64 // commands of others, per connection
	publishFailed    atomic.Int64
	joinsUnconfirmed atomic.Int64
	farewellsLost    atomic.Int64
	panics           atomic.Int64
	tls              atomic.Int64
	reached          reached
	durations        [kinds][len(outcomes)]histogram

	mu       sync.Mutex
	refusals map[Refusal]int64
	closes   map[int]int64 // by code
}

// histogram counts durations in buckets.
type histogram struct {
	counts [len(buckets) + 1]atomic.Int64
	sum    atomic.Int64 // nanoseconds
}

func (h *histogram) observe(took time.Duration) {
	i := 0
	for i < len(buckets) && took.Seconds() > buckets[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(took))
}

// event counts one event by its kind and how it ended.
func (s *stats) event(k kind, err error, took time.Duration) {
	ended := outcome(err)
	for i, name := range outcomes {
		if name == ended {
			s.durations[k][i].observe(took)
			return
		}
	}
}

// refused counts a refused handshake.
func (s *stats) refused(r Refusal) { count(s, &s.refusals, r) }

// closed counts an ended connection. Codes that only an application may choose
// are counted together, so that clients cannot make up labels.
func (s *stats) closed(code int) {
	if code >= 3000 && code != 4408 || code > 1015 && code < 3000 {
		code = 3000
	}
	count(s, &s.closes, code)
}

func count[K comparable](s *stats, counts *map[K]int64, key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *counts == nil {
		*counts = make(map[K]int64)
	}
	(*counts)[key]++
}

// Refusal is how a handshake was refused.
type Refusal struct {
	Status int
	Reason string // one of a fixed set, see docs/metrics.md
}

// Stats is a snapshot of the gateway's counters. Names end in what they count.
type Stats struct {
	Node        string
	Connections int   // open now
	Opened      int64 // upgraded since the start
	Draining    bool

	Sockets  Sockets
	Refusals map[Refusal]int64
	Late     int64         // connections that sent no whole handshake in time
	Broken   int64         // connections that ended in the middle of one, or sent none that can be read
	TLS      int64         // connections that began with TLS
	Closes   map[int]int64 // ended connections by code; 3000 is any of an application's own
	Events   []EventStats

	Limits           map[string]int64 // times that a limit on clients was reached, by its key
	Throttled        int64            // messages that waited for messages_per_second
	Dropped          int64            // messages that waited when their connection broke
	PublishFailed    int64
	JoinsUnconfirmed int64
	DisconnectsLost  int64          // disconnect events given up
	Disconnects      map[string]int // that wait or run, by pool
	Panics           int64

	Delivered      int64 // pushes and commands, per connection
	Delivery       delivery.Stats
	InboundBytes   int64 // of messages being received or waiting
	OutboundBytes  int64 // that wait for clients that do not keep up
	Socket         ws.Snapshot
	Pools          map[string]fcgi.Stats
	Streams        map[string]int // running, by pool
	StreamsRefused map[string]int // beyond max_streams, by pool
}

// EventStats counts the events of one kind and outcome.
type EventStats struct {
	Kind, Outcome string
	Buckets       map[float64]uint64 // cumulative, by upper bound in seconds
	Count         uint64
	Sum           float64 // seconds
}

// Stats returns the counters as they are now.
func (g *Gateway) Stats() Stats {
	s := &g.stats
	out := Stats{
		Node: g.node, Connections: g.hub.Len(), Opened: s.opened.Load(),
		Throttled: s.throttled.Load(), Dropped: s.dropped.Load(), Delivered: s.delivered.Load(), Delivery: g.fanout.Stats(),
		PublishFailed: s.publishFailed.Load(), JoinsUnconfirmed: s.joinsUnconfirmed.Load(),
		DisconnectsLost: s.farewellsLost.Load(), Panics: s.panics.Load(), TLS: s.tls.Load(),
		InboundBytes: g.sockets.Memory.Used(), OutboundBytes: g.sockets.Outgoing.Used(), Socket: g.sockets.Stats.Snapshot(),
		Pools: make(map[string]fcgi.Stats), Streams: make(map[string]int), StreamsRefused: make(map[string]int),
		Disconnects: make(map[string]int),
	}
	s.mu.Lock()
	out.Refusals, out.Closes = maps.Clone(s.refusals), maps.Clone(s.closes)
	s.mu.Unlock()
	out.Sockets, out.Late, out.Broken = g.accepted.snapshot()
	out.Limits = g.limits(&out)
	g.mu.Lock()
	out.Draining = g.draining
	g.mu.Unlock()
	g.reload.Lock()
	for name, p := range g.pools {
		out.Pools[name] = p.Stats()
		out.Streams[name], out.StreamsRefused[name] = p.streams.counts()
		out.Disconnects[name] = p.farewells.len()
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
