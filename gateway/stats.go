package gateway

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"wsfpm/fcgi"
	"wsfpm/gateway/cache"
	"wsfpm/gateway/durable"
)

// buckets are the upper bounds of the event duration histograms, in seconds.
var buckets = [...]float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

// outcomes are the results of outcome.
var outcomes = [...]string{"ok", "answer", "overloaded", "timeout", "canceled", "unavailable", "cut", "unstored", "refused"}

// resumeOutcomes are how connects with a position end: with all that was missed; with a gap
// that PHP was told of; with one that came about while PHP ran.
var resumeOutcomes = [...]string{"ok", "gap", "late_gap"}

// frameOutcomes are what becomes of frames that a relay takes.
var frameOutcomes = [...]string{"sent", "replaced", "ended", "too_large", "lost"}

// The outcomes of frames, in the order of frameOutcomes.
const (
	frameSent = iota
	frameReplaced
	frameEnded
	frameTooLarge
	frameLost
)

// stats holds the gateway's counters. It is safe for concurrent use.
type stats struct {
	opened           atomic.Int64
	throttled        atomic.Int64 // messages delayed by messages_per_second
	dropped          atomic.Int64 // messages queued when their connection was lost
	delivered        atomic.Int64 // commands of others, per connection
	publishFailed    atomic.Int64
	joinsUnconfirmed atomic.Int64
	onceMany         atomic.Int64
	resumes          [len(resumeOutcomes)]atomic.Int64
	disconnectsLost  atomic.Int64
	panics           atomic.Int64
	tls              atomic.Int64
	frames           [len(frameOutcomes)]atomic.Int64
	resynced         atomic.Int64
	reached          reached
	cached           cache.Stats
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

// event counts one event by kind and outcome.
func (s *stats) event(k kind, err error, took time.Duration) {
	ended := outcome(err)
	for i, name := range outcomes {
		if name == ended {
			s.durations[k][i].observe(took)
			return
		}
	}
}

// outcome classifies the result of an event for metrics and logs.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	var f *failure
	switch {
	case errors.As(err, &f):
		return "answer"
	case errors.Is(err, fcgi.ErrOverloaded):
		return "overloaded"
	case errors.Is(err, fcgi.ErrTimeout):
		return "timeout"
	case errors.Is(err, fcgi.ErrCanceled):
		return "canceled"
	case errors.Is(err, fcgi.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, fcgi.ErrTruncated), errors.Is(err, fcgi.ErrProtocol), errors.Is(err, fcgi.ErrTooLarge):
		return "cut"
	}
	if unstored := new(durable.AppendError); errors.As(err, &unstored) {
		return "unstored"
	}
	return "refused"
}

// refused counts a refused handshake.
func (s *stats) refused(r Refusal) { count(s, &s.refusals, r) }

// closed counts an ended connection of a route. The codes of applications share one label,
// so that clients cannot create labels.
func (s *stats) closed(code int, rt *route) {
	ours := code == 4400 || code == rt.SlowCode || code == rt.ExpireCode
	if !ours && (code >= 3000 || code > 1015) {
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

// Refusal is the status and reason of a refused handshake.
type Refusal struct {
	Status int
	Reason string // one of a fixed set, see docs/metrics.md
}

// reached counts refusals by limits that have no other counter.
type reached struct {
	channels atomic.Int64
	backlog  atomic.Int64
	relayed  atomic.Int64
	lifetime atomic.Int64
	idle     atomic.Int64
}
