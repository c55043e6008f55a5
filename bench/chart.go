package main

import (
	"fmt"
	"html"
	"strings"
)

// Sizes of the chart, in pixels.
const (
	chartWidth = 760
	nameWidth  = 220
	barsWidth  = 420
	rowHeight  = 24
	headHeight = 44
)

// panel is one group of bars.
type panel struct {
	title              string
	test, kase, metric string
}

func panels() []panel {
	return []panel{
		{"Messages through PHP and back, 16 clients, a second", "echo", "16 clients", "per_second"},
		{"Messages through PHP and back, 64 clients, a second", "echo", "64 clients", "per_second"},
		{"Median latency, 1 client, µs", "echo", "1 client", "p50_us"},
		{"Slowest answer of all, 16 clients, µs", "echo", "16 clients", "max_us"},
		{"CPU per message without PHP, 16 clients, µs", "echo", "16 clients", "cpu_us"},
		{"Memory of an idle client, bytes", "memory", "idle clients of each", "rss_bytes"},
		{"Memory that a message on a live connection leaves, bytes", "growth", "growth", "bytes_per_message"},
		{"300 publications a second to 2,000 clients, deliveries a second", "fanout", offered(300), "per_second"},
		{"300 publications a second to 2,000 clients, half have come after, µs", "fanout", offered(300), "p50_us"},
		{"80 publications a second to 2,000 clients, half have come after, µs", "fanout", offered(80), "p50_us"},
		{"Slowest page of the site beside as many messages, µs", "neighbour", "as many messages", "max_us"},
	}
}

// chartStyle follows the reader's light or dark scheme.
const chartStyle = `<style>
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.bar { fill: #8c959f }
.ours { fill: #0969da }
.whisker { stroke: #24292f; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .bar { fill: #6e7681 }
  .ours { fill: #4493f8 }
  .whisker { stroke: #e6edf3 }
}
</style>
`

// chart draws medians as bars and quartiles as whiskers. It has no background,
// so it fits on a light and on a dark page.
func chart(r *recorder) string {
	var body strings.Builder
	y := 0
	for _, p := range panels() {
		var rows []string
		for _, peer := range r.peers(p.test, p.kase) {
			if len(r.series(p.test, p.kase, peer, p.metric)) > 0 && !strings.HasPrefix(peer, "wrk") {
				rows = append(rows, peer)
			}
		}
		if len(rows) > 0 {
			y = r.drawPanel(&body, p, rows, y)
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="Results of the benchmark">`+"\n%s%s</svg>\n",
		chartWidth, y+10, chartStyle, body.String())
}

// drawPanel draws one panel at y and returns where the next one begins.
func (r *recorder) drawPanel(b *strings.Builder, p panel, rows []string, y int) int {
	var widest float64
	spreads := make([]spread, len(rows))
	for i, peer := range rows {
		spreads[i] = spreadOf(r.series(p.test, p.kase, peer, p.metric))
		widest = max(widest, spreads[i].High)
	}
	scale := barsWidth / widest
	fmt.Fprintf(b, `<text class="title" x="0" y="%d">%s</text>`+"\n", y+28, html.EscapeString(p.title))
	y += headHeight
	for i, peer := range rows {
		class := "bar"
		if strings.Contains(peer, "wsfpm") {
			class = "bar ours"
		}
		s := spreads[i]
		middle := y + rowHeight/2
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, nameWidth-8, middle+4, html.EscapeString(peer))
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, class, nameWidth, y+3, s.Median*scale, rowHeight-6)
		fmt.Fprintf(b, `<line class="whisker" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, nameWidth+s.Low*scale, nameWidth+s.High*scale, middle, middle)
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", nameWidth+s.High*scale+8, middle+4, short(s.Median))
		y += rowHeight
	}
	return y
}
