package deploy

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// scraped are the labels that Prometheus itself adds.
var scraped = []string{"instance", "job", "le"}

var (
	selector = regexp.MustCompile(`\b((?:wsfpm|go|process)_[a-z0-9_]+)(?:\{([^}]*)\})?`)
	grouping = regexp.MustCompile(`\b(?:by|without|on|ignoring)\s*\(([^)]*)\)`)
)

// checkQuery reports metrics and labels in a query that no gateway has.
func checkQuery(t *testing.T, where, query string, known map[string]metric) {
	t.Helper()
	allowed := slices.Clone(scraped)
	for _, m := range selector.FindAllStringSubmatch(query, -1) {
		name := m[1]
		if !exists(known, name) {
			t.Errorf("%s: there is no metric %s", where, name)
			continue
		}
		labels := known[name].labels
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			labels = append(labels, known[strings.TrimSuffix(name, suffix)].labels...)
		}
		allowed = append(allowed, labels...)
		for _, label := range regexp.MustCompile(`([a-z_]+)\s*(?:=|!)`).FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(labels, label[1]) && !slices.Contains(scraped, label[1]) {
				t.Errorf("%s: %s has no label %s", where, name, label[1])
			}
		}
	}
	for _, m := range grouping.FindAllStringSubmatch(query, -1) {
		for label := range strings.SplitSeq(m[1], ",") {
			if label = strings.TrimSpace(label); label != "" && !slices.Contains(allowed, label) {
				t.Errorf("%s: none of its metrics has the label %s", where, label)
			}
		}
	}
}

// alertNames are the alerts, in their order.
func alertNames(t *testing.T) (list []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(read(t, "deploy/prometheus/alerts.yml"), -1) {
		list = append(list, m[1])
	}
	if len(list) == 0 {
		t.Fatal("no alert was found")
	}
	return list
}

func TestAlertsUseKnownMetrics(t *testing.T) {
	known := parse(seasoned(t))
	comments := regexp.MustCompile(`(?m)^ *#.*$`)
	rules := comments.ReplaceAllString(read(t, "deploy/prometheus/alerts.yml"), "")
	for _, rule := range strings.Split(rules, "- alert: ")[1:] {
		name, text, _ := strings.Cut(rule, "\n")
		query, _, _ := strings.Cut(text, "labels:")
		checkQuery(t, name, query, known)
	}
}

func TestEachAlertHasATestAndACure(t *testing.T) {
	tests, page := read(t, "deploy/prometheus/alerts_test.yml"), read(t, "docs/metrics.md")
	for _, name := range alertNames(t) {
		if !strings.Contains(tests, "- alertname: "+name+"\n") {
			t.Errorf("%s never fires in alerts_test.yml", name)
		}
		if !strings.Contains(tests, "{ alertname: "+name+", ") {
			t.Errorf("%s is not held to stay silent in alerts_test.yml", name)
		}
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/metrics.md has no cure for %s", name)
		}
	}
}

func TestPrometheusTakesTheAlerts(t *testing.T) {
	promtool := stack.Tool(t, "prometheus", "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = filepath.Join(stack.Root(t), "deploy/prometheus")
		if out, err := run(t, cmd); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// dashboard is the part of Grafana's file that is looked at.
type dashboard struct {
	Panels []struct {
		ID      int
		Title   string
		Type    string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr string }
	}
}

// panels reads the dashboard's queries by panel.
func panels(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/wsfpm.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDashboardUsesKnownMetrics(t *testing.T) {
	known := parse(seasoned(t))
	shown, ids := "", make(map[int]bool)
	for _, p := range panels(t).Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s is beyond the right edge", p.Title)
		}
		if len(p.Targets) == 0 && p.Type != "row" {
			t.Errorf("%s shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			checkQuery(t, p.Title, target.Expr, known)
			shown += target.Expr + "\n"
		}
	}
	unseen := []string{"wsfpm_build_info", "wsfpm_draining", "wsfpm_pings_total"}
	for _, name := range names(known) {
		if strings.HasPrefix(name, "wsfpm_fpm_") || !strings.HasPrefix(name, "wsfpm_") || slices.Contains(unseen, name) {
			continue
		}
		if !strings.Contains(shown, name) {
			t.Errorf("%s is not on the dashboard", name)
		}
	}
}

// TestPrometheusTakesTheDashboardsQueries makes a recording rule of each query,
// because that is what promtool checks.
func TestPrometheusTakesTheDashboardsQueries(t *testing.T) {
	promtool := stack.Tool(t, "prometheus", "promtool")
	rules := "groups:\n  - name: dashboard\n    rules:\n"
	n := 0
	for _, p := range panels(t).Panels {
		for _, target := range p.Targets {
			n++
			query := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(target.Expr)
			rules += fmt.Sprintf("      - { record: 'wsfpm:panel:%d', expr: '%s' }\n", n, query)
		}
	}
	file := filepath.Join(stack.TempDir(t), "rules.yml")
	write(t, file, rules)
	if out, err := run(t, exec.Command(promtool, "check", "rules", file)); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
