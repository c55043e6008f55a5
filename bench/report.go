package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// The figures of a page lie between these lines.
const (
	figuresBegin = "<!-- bench:begin -->"
	figuresEnd   = "<!-- bench:end -->"
)

// result is a whole run, as the raw data holds it.
type result struct {
	Begun    time.Time         `json:"begun"`
	Seconds  float64           `json:"seconds"`
	Rounds   int               `json:"rounds"`
	Quick    bool              `json:"quick"`
	Machine  map[string]string `json:"machine"`
	Verdicts []verdict         `json:"targets"`
	Samples  []sample          `json:"samples"`
}

// report prints the tables, and writes the raw data, the chart and, when asked
// to, the figures of the README and of docs/bench.md.
func report(o *options, r *recorder, out io.Writer) error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	res := result{
		Begun: r.began, Seconds: time.Since(r.began).Seconds(), Rounds: o.rounds, Quick: o.quick,
		Machine: machine(root), Verdicts: r.judge(), Samples: r.samples,
	}
	name := res.Begun.UTC().Format("2006-01-02T150405Z") + ".json"
	if err := res.write(filepath.Join(root, o.results, name)); err != nil {
		return err
	}
	return res.show(o, root, r, out)
}

// again reports what an earlier run has measured, judged by today's targets,
// which go into its raw data too.
func again(o *options, out io.Writer) error {
	text, err := os.ReadFile(o.from)
	if err != nil {
		return err
	}
	var res result
	if err := json.Unmarshal(text, &res); err != nil {
		return fmt.Errorf("%s: %w", o.from, err)
	}
	root, err := findRoot()
	if err != nil {
		return err
	}
	r := &recorder{out: out, began: res.Begun, samples: res.Samples}
	res.Verdicts = r.judge()
	if err := res.write(o.from); err != nil {
		return err
	}
	return res.show(o, root, r, out)
}

// show is report but for the raw data.
func (res *result) show(o *options, root string, r *recorder, out io.Writer) error {
	fmt.Fprintf(out, "\n%s\n%s", tables(r), verdictTable(res.Verdicts))
	if o.chart != "" {
		if err := os.WriteFile(filepath.Join(root, o.chart), []byte(chart(r)), 0o644); err != nil {
			return err
		}
	}
	if !o.update {
		return nil
	}
	return errors.Join(
		res.write(filepath.Join(root, "bench", "results", "published.json")),
		updateFigures(filepath.Join(root, "README.md"), res.summary(r, o.chart)),
		updateFigures(filepath.Join(root, "docs", "bench.md"), res.figures(r)),
	)
}

// machine says where the figures come from.
func machine(root string) map[string]string {
	m := map[string]string{"cpus": fmt.Sprint(runtime.NumCPU()), "go": runtime.Version()}
	for name, command := range map[string][]string{
		"kernel": {"uname", "-sr"}, "node": {"node", "--version"}, "nginx": {"nginx", "-v"}, "redis": {"redis-server", "--version"},
		"php": {"php", "-r", "echo PHP_VERSION;"}, "commit": {"git", "-C", root, "describe", "--always", "--dirty"},
	} {
		if text, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err == nil {
			m[name] = strings.TrimSpace(string(text))
		}
	}
	text, _ := os.ReadFile("/proc/cpuinfo") // "" says nothing about the model
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			m["cpu"] = strings.TrimSpace(value)
		}
	}
	return m
}

// write puts the raw data into a file, a sample on each line.
func (res *result) write(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	text, err := json.Marshal(res)
	if err != nil {
		return err
	}
	for _, begin := range []string{`{"test":`, `{"what":`} {
		text = bytes.ReplaceAll(text, []byte(begin), []byte("\n"+begin))
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// tables is every comparison as a Markdown table: medians, with the quartiles
// in brackets.
func tables(r *recorder) string {
	var b strings.Builder
	var last string
	for _, s := range r.samples {
		if s.Test == last {
			continue
		}
		last = s.Test
		for _, kase := range r.cases(last) {
			fmt.Fprintf(&b, "\n**%s, %s**\n\n%s", last, kase, r.table(last, kase, r.metrics(last, kase)))
		}
	}
	return b.String()
}

// table is one case: a row for each peer, a column for each metric.
func (r *recorder) table(test, kase string, metrics []string) string {
	var b strings.Builder
	b.WriteString("| |")
	for _, m := range metrics {
		b.WriteString(" " + columnTitle(m) + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("--:|", len(metrics)) + "\n")
	for _, peer := range r.peers(test, kase) {
		b.WriteString("| " + peer + " |")
		for _, m := range metrics {
			b.WriteString(" " + cell(r.series(test, kase, peer, m)) + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func cell(figures []float64) string {
	if len(figures) == 0 {
		return "–"
	}
	s := spreadOf(figures)
	if len(figures) == 1 {
		return short(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", short(s.Median), short(s.Low), short(s.High))
}

// columnTitle puts a metric's name into words.
func columnTitle(metric string) string {
	switch metric {
	case "per_second":
		return "a second"
	case "cpu_us":
		return "CPU each, µs"
	case "php_cpu_us":
		return "PHP's CPU each, µs"
	case "all_cpu_us":
		return "CPU of both, µs"
	case "gateway_cpu_us":
		return "of it the gateway's, µs"
	case "own_cpu_us":
		return "the load's CPU each, µs"
	}
	name, found := strings.CutSuffix(metric, "_us")
	if found {
		name += ", µs"
	}
	return strings.ReplaceAll(name, "_", " ")
}

func verdictTable(list []verdict) string {
	var b strings.Builder
	b.WriteString("\n| target | limit | median (quartiles) | |\n|---|--:|--:|---|\n")
	for _, v := range list {
		over, met := "", "met"
		if v.Over != "" {
			over = " (" + v.Over + ")"
		}
		if !v.Met {
			met = "**missed**"
		}
		fmt.Fprintf(&b, "| %s%s | %s | %s (%s–%s) | %s |\n", v.What, over, v.bound(), v.number(v.Median), short(v.Low), short(v.High), met)
	}
	return b.String()
}

// where says what a run was made on.
func (res *result) where() string {
	return fmt.Sprintf("%s, %d rounds in turn on %s CPUs (%s) that clients, gateway and PHP share; %s; PHP %s, %s",
		res.Begun.UTC().Format("2006-01-02"), res.Rounds, res.Machine["cpus"], res.Machine["cpu"], res.Machine["kernel"], res.Machine["php"], res.Machine["go"])
}

// summary is what the README shows of a run.
func (res *result) summary(r *recorder, chartFile string) string {
	var b strings.Builder
	if chartFile != "" {
		fmt.Fprintf(&b, "![Messages through PHP and back, and what they cost](%s)\n\n", chartFile)
	}
	b.WriteString(r.choice())
	fmt.Fprintf(&b, "Measured by `make bench`: %s. The absolute figures are this machine's, trust the ratios.\n", res.where())
	return b.String()
}

// choice is a table of wsfpm beside what its users would otherwise build on the same pool:
// medians.
func (r *recorder) choice() string {
	peers := []string{"wsfpm", "Node with ws", "nginx + Lua"}
	rows := []struct{ title, test, kase, metric string }{
		{"messages through PHP and back, 16 clients, a second", "echo", "16 clients", "per_second"},
		{"CPU for each, without PHP, µs", "echo", "16 clients", "cpu_us"},
		{"median time of a message, 1 client, µs", "echo", "1 client", "p50_us"},
		{"memory of an idle client, bytes", "memory", "idle clients of each", "rss_bytes"},
		{"memory that each message of a live client leaves, bytes", "growth", "growth", "bytes_per_message"},
	}
	var b strings.Builder
	b.WriteString("| | " + strings.Join(peers, " | ") + " |\n|---|" + strings.Repeat("--:|", len(peers)) + "\n")
	for _, row := range rows {
		b.WriteString("| " + row.title + " |")
		for _, peer := range peers {
			figures := r.series(row.test, row.kase, peer, row.metric)
			if len(figures) == 0 {
				return "" // not measured, or a peer is not installed
			}
			b.WriteString(" " + short(spreadOf(figures).Median) + " |")
		}
		b.WriteString("\n")
	}
	return b.String() + "\n"
}

// figures is everything that a run has found.
func (res *result) figures(r *recorder) string {
	return fmt.Sprintf("Measured: %s.\n\n## Targets\n%s\n## All figures\n%s", res.where(), verdictTable(res.Verdicts), tables(r))
}

// updateFigures replaces what stands between a page's markers. A page without
// them, or none at all, is left alone.
func updateFigures(path, figures string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	begin, end := bytes.Index(text, []byte(figuresBegin)), bytes.Index(text, []byte(figuresEnd))
	if begin < 0 || end < begin {
		return nil
	}
	next := string(text[:begin]) + figuresBegin + "\n" + figures + string(text[end:])
	return os.WriteFile(path, []byte(next), 0o644)
}
