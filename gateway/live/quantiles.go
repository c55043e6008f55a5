package live

import (
	"math"
	"time"
)

const (
	perOctave = 8  // buckets for each doubling of a duration: an error of 9 % at most
	octaves   = 28 // of microseconds: up to 268 seconds
	buckets   = perOctave*octaves + 1
)

// Quantiles are the median and the 99th percentile of durations, in seconds.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// histogram counts durations in buckets that grow exponentially.
type histogram struct {
	counts [buckets]uint32
	total  uint32
}

func (h *histogram) add(d time.Duration) {
	i := int(math.Ceil(math.Log2(max(float64(d)/1e3, 1)) * perOctave))
	h.counts[min(i, buckets-1)]++
	h.total++
}

// quantile returns the upper bound of the bucket with the q-th part of the durations, in
// seconds; 0: there are none.
func (h *histogram) quantile(q float64) float64 {
	rank := uint32(math.Ceil(q * float64(h.total)))
	var seen uint32
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return math.Round(math.Exp2(float64(i)/perOctave)) / 1e6
		}
	}
	return 0
}

func (h *histogram) quantiles() Quantiles { return Quantiles{h.quantile(0.5), h.quantile(0.99)} }
