package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// values are the figures of one turn, by names that end in their unit.
type values map[string]float64

// sample is what one peer did in one round of one case.
type sample struct {
	Test   string `json:"test"`
	Case   string `json:"case"`
	Peer   string `json:"peer"`
	Round  int    `json:"round"`
	Values values `json:"values"`
}

// recorder keeps every sample, in the order they were taken, and says while it
// does so how far the run is. One goroutine uses it.
type recorder struct {
	out     io.Writer
	began   time.Time
	test    string
	samples []sample
}

func newRecorder(o *options, out io.Writer) *recorder {
	return &recorder{out: out, began: time.Now()}
}

// begin says which comparison the next samples belong to.
func (r *recorder) begin(test string) *recorder {
	r.test = test
	return r
}

func (r *recorder) add(kase, peer string, round int, v values) {
	r.samples = append(r.samples, sample{r.test, kase, peer, round, v})
	var line strings.Builder
	for _, name := range slices.Sorted(maps.Keys(v)) {
		fmt.Fprintf(&line, "  %s %s", name, short(v[name]))
	}
	fmt.Fprintf(r.out, "%5.0fs  %s, %s, round %d: %s\n%s\n", time.Since(r.began).Seconds(), r.test, kase, round+1, peer, line.String())
}

// short writes a figure with three digits that count.
func short(v float64) string {
	switch {
	case v >= 100 || v == 0 || v <= -100:
		return thousands(int64(v + 0.5))
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int64) string {
	digits := fmt.Sprint(n)
	from := 0
	if n < 0 {
		from = 1
	}
	for at := len(digits) - 3; at > from; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// series are a peer's figures of one kind, by round.
func (r *recorder) series(test, kase, peer, metric string) (list []float64) {
	for _, s := range r.samples {
		if v, found := s.Values[metric]; found && s.Test == test && s.Case == kase && s.Peer == peer {
			list = append(list, v)
		}
	}
	return list
}

// cases are the cases of a comparison, peers those of a case, and metrics what
// was measured of them, in the order of their first samples.
func (r *recorder) cases(test string) (list []string) {
	for _, s := range r.samples {
		if s.Test == test && !slices.Contains(list, s.Case) {
			list = append(list, s.Case)
		}
	}
	return list
}

func (r *recorder) peers(test, kase string) (list []string) {
	for _, s := range r.samples {
		if s.Test == test && s.Case == kase && !slices.Contains(list, s.Peer) {
			list = append(list, s.Peer)
		}
	}
	return list
}

// metrics are sorted as columns are.
func (r *recorder) metrics(test, kase string) []string {
	found := make(map[string]bool)
	for _, s := range r.samples {
		if s.Test == test && s.Case == kase {
			for name := range s.Values {
				found[name] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		if d := slices.Index(columnOrder(), a) - slices.Index(columnOrder(), b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
}

// columnOrder is the order of the usual columns; others come before them.
func columnOrder() []string {
	return []string{"per_second", "p50_us", "p99_us", "max_us", "starved", "after_p99_us", "after_max_us", "cpu_us", "gateway_cpu_us", "php_cpu_us", "all_cpu_us", "own_cpu_us", "load_per_second", "load_p99_us"}
}
