package fcgi

import (
	"math"
	"time"
)

// throughput counts the requests that have ended in the last one to two spans of time. The
// average time of a request is not enough to know how long a queue takes: when the machine
// stands still for a second, every running request takes that second, but together they
// have cost no more than it.
type throughput struct {
	since       time.Time // when this span began
	now, before int       // ended in this span, and in the one before
}

// ended counts a request.
func (t *throughput) ended(at time.Time, span time.Duration) {
	t.roll(at, span)
	t.now++
}

// takes returns how long n requests take at the pace of late, without a limit if none ended.
func (t *throughput) takes(n int, at time.Time, span time.Duration) time.Duration {
	t.roll(at, span)
	ended := t.now + t.before
	if ended == 0 {
		return math.MaxInt64
	}
	over := span + at.Sub(t.since)
	return time.Duration(float64(over) * float64(n) / float64(ended))
}

// roll begins a new span when this one is over.
func (t *throughput) roll(at time.Time, span time.Duration) {
	switch age := at.Sub(t.since); {
	case age >= 2*span:
		*t = throughput{since: at}
	case age >= span:
		*t = throughput{since: t.since.Add(span), before: t.now}
	}
}
