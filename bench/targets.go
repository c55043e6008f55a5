package main

import "fmt"

// target is something to be reached: a figure of wsfpm, or its ratio to the
// best of others, in pairs from the same round.
type target struct {
	what               string
	test, kase, metric string
	peer               string
	over               []string // empty: the figure itself counts
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

// luaWays are the two ways of nginx + Lua.
func luaWays() []string { return []string{"nginx + Lua", "nginx + Lua, kept connections"} }

// nginxWays are the two ways of nginx; the better one counts.
func nginxWays() []string { return []string{"nginx", "nginx, kept connections"} }

func targets() []target {
	return append(messageTargets(), deliveryTargets()...)
}

// only is a single peer to be compared with.
func only(peer string) []string { return []string{peer} }

func messageTargets() []target {
	const echo = "echo"
	kept, pool := nginxWays(), only("fcgi.Pool")
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
		{"messages a second against Pushpin, 16 clients", echo, "16 clients", "per_second", "wsfpm", only("Pushpin"), true, 8, "×"},
		{"messages a second against Node, 16 clients", echo, "16 clients", "per_second", "wsfpm", only("Node with ws"), true, 1, "×"},
		{"messages a second against nginx + Lua, 16 clients", echo, "16 clients", "per_second", "wsfpm", luaWays(), true, 1, "×"},
		{"CPU of a message against nginx with kept connections, 16 clients", echo, "16 clients", "cpu_us", "wsfpm", only(kept[1]), false, 1.15, "×"},
		{"allocations for a message", echo, "allocations", "allocations", "wsfpm", nil, false, 10, ""},
		{"memory of an idle connection after three pings", "memory", "idle connections", "rss_bytes", "wsfpm", nil, false, 6 << 10, "bytes"}, // with a user, three channels and 1 KB of headers
		{"p50 beside idle connections, 1 client", "memory", "1 client", "p50_us", "beside idle connections", only("alone"), false, 1.3, "×"},
		{"p50 beside idle connections, 16 clients", "memory", "16 clients", "p50_us", "beside idle connections", only("alone"), false, 1.3, "×"},
		{"growth by a million messages on one connection", "growth", "growth", "kilobytes", "wsfpm", nil, false, 1024, "KB"},
		{"the site's p99 beside wsfpm, against beside nginx", "neighbour", "as many messages", "p99_us", "beside wsfpm", only("beside nginx"), false, 2, "×"},
		{"the site's slowest page beside wsfpm", "neighbour", "as many messages", "max_us", "beside wsfpm", nil, false, 1e6, "µs"},
		{"the site's slowest page right after", "neighbour", "as many messages", "after_max_us", "beside wsfpm", nil, false, 1e6, "µs"},
		{"100,000 users, from a lost line to Redis until all names are confirmed", "joins", "a lost line, all users", "seconds", "wsfpm", nil, false, 3, "s"},
		{"Redis's memory for a name", "joins", "memory of names", "redis_bytes", "wsfpm", nil, false, 300, "bytes"},
		{"Redis's CPU for a message of the log with ten nodes, against PUBLISH to one", "stored", storedCase, "redis_cpu_us", storedLog, only("PUBLISH, heard by 1"), false, 1.5, "×"},
		{"one message to all, the last of them", "scale", "one message to all", "last_ms", "wsfpm", nil, false, 2000, "ms"},
		{"memory of a connection, seven processes", "scale", "many processes", "rss_bytes", "wsfpm", nil, false, 9 << 10, "bytes"},
	}
}

// deliveryTargets are of the fan-out, by the publications offered in a second.
func deliveryTargets() (list []target) {
	floor, broker := only("floor"), only("Centrifugo")
	add := func(what string, rate int, metric string, over []string, atLeast bool, limit float64, unit string) {
		what = fmt.Sprintf("fan-out, %d a second: %s", rate, what)
		list = append(list, target{what, "fanout", offered(rate), metric, "wsfpm", over, atLeast, limit, unit})
	}
	add("deliveries against the floor", 300, "per_second", floor, true, 1.7, "×")
	add("deliveries against the broker", 300, "per_second", broker, true, 1.2, "×")
	add("CPU of a delivery against the floor", 300, "cpu_us", floor, false, 0.65, "×")
	add("p50", 300, "p50_us", nil, false, 100_000, "µs")
	add("p50 against the floor", 300, "p50_us", floor, false, 0.1, "×")
	add("p50 against the broker", 300, "p50_us", broker, false, 0.1, "×")
	add("p50", 80, "p50_us", nil, false, 60_000, "µs")
	for _, rate := range []int{20, 10} {
		add("CPU of a delivery against the floor", rate, "cpu_us", floor, false, 1.1, "×")
		add("p50 against the floor", rate, "p50_us", floor, false, 1.1, "×")
	}
	return list
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
