package main

import "fmt"

// target is something to be reached: a figure of wsfpm, or its ratio to the
// best of others, in pairs from the same round.
type target struct {
	what               string
	test, kase, metric string
	peer               string
	over               []string // nobody: the figure itself counts
	atLeast            bool     // else at most
	limit              float64
	unit               string // of the figure; ratios are "×"
}

// verdict is a target with what was measured. It is met when the worse
// quartile is within the limit.
type verdict struct {
	What  string  `json:"what"`
	Limit float64 `json:"limit"`
	Least bool    `json:"at_least"`
	Unit  string  `json:"unit"`
	Over  string  `json:"over,omitempty"` // the peer that it was compared with
	spread
	Met bool `json:"met"`
}

// nginxWays are the two ways of nginx; the better one counts.
func nginxWays() []string { return []string{"nginx", "nginx, kept connections"} }

func targets() []target {
	const echo, fan = "echo", "fanout"
	kept, pool := nginxWays(), []string{"fcgi.Pool"}
	return []target{
		{"CPU of wsfpm for an echo, 16 clients", echo, "16 clients", "cpu_us", "wsfpm", nil, false, 30, "µs"},
		{"a message of one client, with 100 µs for all that is not FastCGI", echo, "1 client", "p50_us", "wsfpm", nil, false, 165, "µs"},
		{"messages through PHP and back, 16 clients", echo, "16 clients", "per_second", "wsfpm", nil, true, 15_000, "a second"},
		{"messages a second against nginx, 16 clients", echo, "16 clients", "per_second", "wsfpm", kept, true, 1.25, "×"},
		{"messages a second against nginx, 64 clients", echo, "64 clients", "per_second", "wsfpm", kept, true, 1.25, "×"},
		{"p99 against nginx, 16 clients", echo, "16 clients", "p99_us", "wsfpm", kept, false, 1, "×"},
		{"p99 against nginx, 64 clients", echo, "64 clients", "p99_us", "wsfpm", kept, false, 1, "×"},
		{"p50 against nginx, 1 client", echo, "1 client", "p50_us", "wsfpm", kept, false, 1.25, "×"},
		{"messages a second against a FastCGI client alone, 16 clients", echo, "16 clients", "per_second", "wsfpm", pool, true, 0.65, "×"},
		{"messages a second against Pushpin, 16 clients", echo, "16 clients", "per_second", "wsfpm", []string{"Pushpin"}, true, 8, "×"},
		{"allocations for a message", echo, "allocations", "allocations", "wsfpm", nil, false, 10, ""},
		{"memory of an idle connection after three pings", "memory", "idle connections", "rss_bytes", "wsfpm", nil, false, 9 << 10, "bytes"},
		{"p50 beside idle connections, 1 client", "memory", "1 client", "p50_us", "beside idle connections", []string{"alone"}, false, 1.3, "×"},
		{"p50 beside idle connections, 16 clients", "memory", "16 clients", "p50_us", "beside idle connections", []string{"alone"}, false, 1.3, "×"},
		{"growth by a million messages on one connection", "growth", "growth", "kilobytes", "wsfpm", nil, false, 1024, "KB"},
		{"fan-out, deliveries a second against the floor", fan, "as fast as they arrive", "per_second", "wsfpm", []string{"floor"}, true, 0.9, "×"},
		{"fan-out, CPU of a delivery against the floor", fan, "as fast as they arrive", "cpu_us", "wsfpm", []string{"floor"}, false, 1.3, "×"},
		{"the site's p99 beside wsfpm, against beside nginx", "neighbour", "as many messages", "p99_us", "beside wsfpm", []string{"beside nginx"}, false, 2, "×"},
		{"the site's slowest page beside wsfpm", "neighbour", "as many messages", "max_us", "beside wsfpm", nil, false, 1e6, "µs"},
		{"the site's slowest page right after", "neighbour", "as many messages", "after_max_us", "beside wsfpm", nil, false, 1e6, "µs"},
		{"100,000 users, from a lost line to Redis until all names are confirmed", "joins", "a lost line, all users", "seconds", "wsfpm", nil, false, 3, "s"},
		{"Redis's memory for a name", "joins", "memory of names", "redis_bytes", "wsfpm", nil, false, 300, "bytes"},
		{"one message to all, the last of them", "scale", "one message to all", "last_ms", "wsfpm", nil, false, 2000, "ms"},
		{"memory of a connection, seven processes", "scale", "many processes", "rss_bytes", "wsfpm", nil, false, 9 << 10, "bytes"},
	}
}

// judge compares what was measured with the targets; those of comparisons
// that were not made are left out.
func (r *recorder) judge() (list []verdict) {
	for _, t := range targets() {
		figures := r.series(t.test, t.kase, t.peer, t.metric)
		over := ""
		if len(t.over) > 0 {
			over = r.best(t)
			figures = ratios(figures, r.series(t.test, t.kase, over, t.metric))
		}
		if len(figures) == 0 {
			continue
		}
		v := verdict{What: t.what, Limit: t.limit, Least: t.atLeast, Unit: t.unit, Over: over, spread: spreadOf(figures)}
		v.Met = v.High <= t.limit
		if t.atLeast {
			v.Met = v.Low >= t.limit
		}
		list = append(list, v)
	}
	return list
}

// best is the one of a target's others that has the best median. One that
// leaves clients without any answer is no better way: it serves the others
// faster for that.
func (r *recorder) best(t target) string {
	median := func(peer, metric string) float64 { return spreadOf(r.series(t.test, t.kase, peer, metric)).Median }
	best := ""
	for _, peer := range t.over {
		better := best == "" || (median(peer, t.metric) > median(best, t.metric)) == t.atLeast
		if better && !(median(peer, "starved") > 0) {
			best = peer
		}
	}
	return best
}

// ratios divides round by round.
func ratios(a, b []float64) []float64 {
	list := make([]float64, 0, len(a))
	for i := range min(len(a), len(b)) {
		list = append(list, a[i]/b[i])
	}
	return list
}

// bound writes the limit.
func (v verdict) bound() string {
	if v.Least {
		return "≥ " + v.number(v.Limit)
	}
	return "≤ " + v.number(v.Limit)
}

func (v verdict) number(x float64) string {
	if v.Unit == "×" {
		return fmt.Sprintf("%.2f ×", x)
	}
	if v.Unit == "" {
		return short(x)
	}
	return short(x) + " " + v.Unit
}
