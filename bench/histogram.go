package main

import (
	"math/bits"
	"time"
)

// The histogram's resolution: 64 buckets for every doubling, so a bucket is
// less than 1.6 % wide; longest is 2^40 ns, 18 minutes.
const (
	bucketBits = 6
	longest    = 40
	bucketsAll = (longest - bucketBits + 1) << bucketBits
)

// histogram counts durations. It belongs to one goroutine.
type histogram struct {
	counts [bucketsAll]uint32
	n      int64
	max    time.Duration
}

// add counts one duration.
func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.n++
	h.max = max(h.max, d)
}

// bucketOf finds the bucket: below 128 ns one for each nanosecond, above it one
// for the upper seven bits.
func bucketOf(d time.Duration) int {
	v := min(uint64(max(d, 0)), 1<<longest-1)
	shift := max(0, bits.Len64(v)-bucketBits-1)
	return shift<<bucketBits + int(v>>shift)
}

// merge adds another histogram's counts.
func (h *histogram) merge(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.n += o.n
	h.max = max(h.max, o.max)
}

// quantile is the middle of the bucket below which that part of all lies.
func (h *histogram) quantile(q float64) time.Duration {
	rest := int64(q * float64(h.n))
	for i, n := range h.counts {
		if rest -= int64(n); rest < 0 {
			return bucketMiddle(i)
		}
	}
	return h.max
}

func bucketMiddle(i int) time.Duration {
	shift := max(0, i>>bucketBits-1)
	low := uint64(i-shift<<bucketBits) << shift
	return time.Duration(low + (1<<shift)/2)
}
