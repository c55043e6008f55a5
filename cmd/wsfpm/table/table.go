// Package table lays figures of a gateway out as the lines of a terminal, for `wsfpm top`.
// All text of clients and scripts is escaped.
//
//	lines := table.Lines(&figures, failures, 80, 24)
package table

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"wsfpm/cmd/wsfpm/terminal"
	"wsfpm/gateway/live"
)

// mostFailures is how many of the last failures are kept.
const mostFailures = 50

// Failures are the last events that failed, newest first.
type Failures []live.Record

// Add adds newer ones, oldest first.
func (f *Failures) Add(newer []live.Record) {
	for _, r := range newer {
		*f = slices.Insert(*f, 0, r)
	}
	*f = (*f)[:min(len(*f), mostFailures)]
}

// Lines returns at most height lines of at most width characters. What has no room is left
// out from the end; the lists of scripts, users and slow readers share the height.
func Lines(f *live.Figures, failures Failures, width, height int) []string {
	p := page{width: width}
	p.head(f)
	p.pools(f.Pools)
	rest := 7 // of blank lines, titles, and failures
	if len(f.Slow) > 0 {
		rest = 9
	}
	each := max(1, (height-len(p.lines)-rest)/3)
	p.scripts(f, each)
	p.busy(f, each)
	p.slow(f.Slow, each)
	p.failures(failures, height-len(p.lines))
	return p.lines[:min(len(p.lines), height)]
}

// page is lines in the making.
type page struct {
	width int
	lines []string
}

// add adds a line of text that is escaped already.
func (p *page) add(format string, args ...any) {
	p.lines = append(p.lines, fit(strings.TrimRight(fmt.Sprintf(format, args...), " "), p.width))
}

// fit cuts s to width characters.
func fit(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	if width <= 0 {
		return ""
	}
	return string([]rune(s)[:width-1]) + "…"
}

// name returns text of others, escaped, in exactly width characters.
func name(s string, width int) string {
	width = max(width, 0)
	s = fit(terminal.Escape(s), width)
	return s + strings.Repeat(" ", width-utf8.RuneCountInString(s))
}

func (p *page) head(f *live.Figures) {
	state := "ready"
	if f.NotReady != "" {
		state = "NOT READY: " + terminal.Escape(f.NotReady)
	}
	each := func(n int64) string { return rate(float64(n), f.Seconds) }
	p.add("%s  %s  %s connections  %s", terminal.Escape(f.Node), f.Time.Local().Format(time.TimeOnly), number(float64(f.Connections)), state)
	p.add("a second  %s messages  %s connects  %s disconnects  %s refused  %s failed", each(f.Events["message"]), each(f.Events["connect"]),
		each(f.Events["disconnect"]), each(f.Events["handshake"]), each(f.Failed))
	p.add("          %sB in  %s sent for others   queued for slow readers %sB", each(f.Bytes), each(f.Delivered), number(float64(f.Queued)))
	p.add("wait p50 %s  p99 %s   run p50 %s  p99 %s", duration(f.Wait.P50), duration(f.Wait.P99), duration(f.Run.P50), duration(f.Run.P99))
	redis := f.Redis.State
	if redis != "local" {
		redis += fmt.Sprintf("  %s in  %s out  %s lost a second", each(int64(f.Redis.Received)), each(int64(f.Redis.Published)), each(int64(f.Redis.Failed)))
	}
	p.add("redis %s   log %s  %s entries over %.0f s  lag %s", redis, f.Log.State, number(float64(f.Log.Entries)), f.Log.Span, duration(f.Log.Lag))
}

func (p *page) pools(list []live.Pool) {
	p.add("")
	p.add("%s %8s %8s %8s %8s %8s", name("POOL", p.width-45), "in use", "limit", "max", "waiting", "settling")
	for _, pool := range list {
		down := ""
		if pool.Down {
			down = " DOWN"
		}
		p.add("%s %8d %8d %8d %8d %8d", name(pool.Name+down, p.width-45), pool.Running, pool.Limit, pool.Max, pool.Waiting, pool.Settling)
	}
}

func (p *page) scripts(f *live.Figures, most int) {
	p.add("")
	p.add("%s %7s %7s %8s %8s %8s %8s", name("SCRIPT", p.width-52), "a sec.", "failed", "wait p50", "p99", "run p50", "p99")
	for _, s := range f.Scripts[:min(len(f.Scripts), most)] {
		p.add("%s %7s %7s %8s %8s %8s %8s", name(lastPart(s.Script, p.width-52), p.width-52), rate(float64(s.Events), f.Seconds), number(float64(s.Failed)),
			duration(s.Wait.P50), duration(s.Wait.P99), duration(s.Run.P50), duration(s.Run.P99))
	}
}

// lastPart cuts a path at its beginning.
func lastPart(path string, width int) string {
	if runes := []rune(path); len(runes) > width && width > 0 {
		return "…" + string(runes[len(runes)-width+1:])
	}
	return path
}

// busy shows users and addresses side by side.
func (p *page) busy(f *live.Figures, most int) {
	half := max(0, (p.width-3)/2)
	column := func(list []live.Busy, i int) string {
		if i >= len(list) {
			return strings.Repeat(" ", half)
		}
		return name(list[i].Name, half-9) + fmt.Sprintf(" %8s", rate(float64(list[i].Events), f.Seconds))
	}
	p.add("")
	p.add("%s %8s   %s %8s", name("USER", half-9), "a sec.", name("ADDRESS", half-9), "a sec.")
	for i := range min(max(len(f.Users), len(f.Addresses)), most) {
		p.add("%s   %s", column(f.Users, i), column(f.Addresses, i))
	}
}

func (p *page) slow(list []live.Slow, most int) {
	if len(list) == 0 {
		return
	}
	p.add("")
	p.add("%s %s %8s", name("SLOW READER", p.width/2), name("USER", p.width-p.width/2-10), "queued")
	for _, s := range list[:min(len(list), most)] {
		p.add("%s %s %7sB", name(s.Connection, p.width/2), name(s.User, p.width-p.width/2-10), number(float64(s.Queued)))
	}
}

func (p *page) failures(list Failures, room int) {
	if room < 3 || len(list) == 0 {
		return
	}
	p.add("")
	p.add("LAST FAILURES")
	for _, r := range list[:min(len(list), room-2)] {
		who := r.Address
		if r.User != "" {
			who = "user:" + r.User
		}
		p.add("%s %-10s %s %s", r.Time.Local().Format(time.TimeOnly), terminal.Escape(r.Kind), name(who, 14), terminal.Escape(cmp.Or(cause(r.Error), r.Outcome)))
	}
}

// cause is an event's error without the words that all reports of PHP begin with.
func cause(why string) string {
	report, quoted := strings.CutPrefix(why, `PHP reported "PHP `)
	if quoted {
		report = strings.TrimSuffix(report, `"`)
	}
	for _, known := range []string{"Fatal error:  ", "Uncaught "} {
		report = strings.TrimPrefix(report, known)
	}
	return report
}

// rate returns n a second.
func rate(n, seconds float64) string {
	if seconds <= 0 {
		return "0"
	}
	return number(n / seconds)
}

// number returns n in at most six characters.
func number(n float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e4, "k"}} {
		if n >= unit.size {
			if unit.name == "k" {
				unit.size = 1e3
			}
			return fmt.Sprintf("%.1f%s", n/unit.size, unit.name)
		}
	}
	if n > 0 && n < 10 && n != float64(int(n)) {
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.0f", n)
}

// duration returns seconds in at most eight characters.
func duration(seconds float64) string {
	switch {
	case seconds == 0:
		return "–"
	case seconds < 0.01:
		return fmt.Sprintf("%.2f ms", seconds*1e3)
	case seconds < 1:
		return fmt.Sprintf("%.0f ms", seconds*1e3)
	}
	return fmt.Sprintf("%.1f s", seconds)
}
