package gateway

import (
	"sync/atomic"

	"golang.org/x/time/rate"

	"wsfpm/session"
)

// reached counts what limits kept out, where nothing else does.
type reached struct {
	channels atomic.Int64
	backlog  atomic.Int64
	lifetime atomic.Int64
	idle     atomic.Int64
}

// limits tells how often each limit on clients was reached, by its key in the
// configuration. The keys are always the same.
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

// setRate returns l with that rate and burst, which a reload may have changed, and
// a new limiter for nil: a connection without messages has none.
func setRate(l *rate.Limiter, perSecond float64, burst int) *rate.Limiter {
	limit := rate.Limit(perSecond)
	switch {
	case l == nil:
		l = rate.NewLimiter(limit, burst)
	case l.Limit() != limit || l.Burst() != burst:
		l.SetLimit(limit)
		l.SetBurst(burst)
	}
	return l
}

// age counts a connection that sweep closes.
func (r *reached) age(with *session.Close) {
	if with == &closeExpired {
		r.lifetime.Add(1)
	} else {
		r.idle.Add(1)
	}
}
