package deploy

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsfpm/gateway"
	"wsfpm/gateway/admin"
	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/gateway/durable"
	"wsfpm/gateway/redis"
	"wsfpm/test/fcgitest"
	"wsfpm/test/stack"
)

// metric is what can be known of a metric from outside.
type metric struct {
	kind   string
	labels []string // sorted, without le
}

func (m metric) String() string { return fmt.Sprintf("%s %v", m.kind, m.labels) }

// seasoned is the text of /metrics of a gateway to which everything has
// happened that makes a series appear: a refused handshake, an event, a failed
// one, a close.
func seasoned(t *testing.T) string {
	t.Helper()
	fpm := fcgitest.NewServer(func(w *fcgitest.Writer, r *fcgitest.Request) {
		if string(r.Body) == "die" {
			w.Hangup()
			return
		}
		w.Stdout("Content-Type: text/plain\r\n\r\n" + string(r.Body))
	}, fcgitest.Options{Workers: 3})
	defer fpm.Close()
	cfg, err := config.Load(config.Source{Script: "/srv/ws.php",
		Flags: map[string]string{"fpm.default.address": fpm.Network + ":" + fpm.Address, "drain": "0s"}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := bus.New(bus.Config{})
	if err != nil {
		t.Fatal(err)
	}
	l := durable.New(durable.Config{})
	defer l.Close()
	cfg.Presence.Users = true
	g, err := gateway.New(gateway.Options{Config: cfg, Bus: b, Log: l, Registry: keys(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), stack.Patience)
		defer cancel()
		g.Drain(ctx)
		if err := g.Close(ctx); err != nil {
			t.Error(err)
		}
		_ = b.Close()
	}()
	visit(t, g)
	stack.WaitWithin(t, 10*time.Second, "a beat", func() bool { return !g.Stats().Registry.LastBeat.IsZero() })
	operators := httptest.NewServer(admin.New(admin.Options{Gateway: g, Bus: b.Stats, Log: l.Stats, Sockets: &admin.Sockets{Most: 1}, Version: "test"}))
	defer operators.Close()
	return fetch(t, operators, "/metrics")
}

// keys is an embedded Redis.
func keys(t *testing.T) *redis.Client {
	t.Helper()
	e, err := redis.StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	c, err := redis.NewStore("redis://" + e.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// visit is what clients do to a gateway.
func visit(t *testing.T, g *gateway.Gateway) {
	t.Helper()
	web := httptest.NewServer(g)
	defer web.Close()
	fetch(t, web, "/") // no handshake: 426
	ctx, cancel := context.WithTimeout(t.Context(), stack.Patience)
	defer cancel()
	client, _, err := websocket.Dial(ctx, strings.Replace(web.URL, "http", "ws", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"die", "hello"} {
		if err := client.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if _, got, err := client.Read(ctx); err != nil || string(got) != "hello" {
		t.Fatalf("got %q, %v, want hello", got, err)
	}
	if err := client.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	stack.WaitWithin(t, 10*time.Second, "the close to be counted", func() bool { return len(g.Stats().Closes) > 0 })
}

func fetch(t *testing.T, from *httptest.Server, path string) string {
	t.Helper()
	resp, err := from.Client().Get(from.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	typeLine   = regexp.MustCompile(`^# TYPE (\S+) (\S+)$`)
	seriesLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? \S+$`)
	labelName  = regexp.MustCompile(`([a-z_]+)=~?"`)
)

// parse reads the text form of Prometheus.
func parse(text string) map[string]metric {
	found := make(map[string]metric)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if m := typeLine.FindStringSubmatch(line); m != nil {
			found[m[1]] = metric{kind: m[2]}
			continue
		}
		m := seriesLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		name := m[1]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, suffix); ok && found[base].kind == "histogram" {
				name = base
			}
		}
		known := found[name]
		known.labels = nil
		for _, label := range labelName.FindAllStringSubmatch(m[2], -1) {
			if label[1] != "le" {
				known.labels = append(known.labels, label[1])
			}
		}
		slices.Sort(known.labels)
		found[name] = known
	}
	return found
}

var docRow = regexp.MustCompile("(?m)^\\| `(wsfpm_[a-z0-9_]+)` \\| ([a-z]+) \\|([^|]*)\\| .+ \\|$")

func TestThePageOfMetricsHasEachAndNoOther(t *testing.T) {
	documented := make(map[string]metric)
	for _, row := range docRow.FindAllStringSubmatch(read(t, "docs/metrics.md"), -1) {
		m := metric{kind: row[2]}
		m.labels = append(m.labels, strings.FieldsFunc(row[3], func(r rune) bool { return strings.ContainsRune("`, ", r) })...)
		slices.Sort(m.labels)
		if _, twice := documented[row[1]]; twice {
			t.Errorf("%s is there twice", row[1])
		}
		documented[row[1]] = m
	}
	real := parse(seasoned(t))
	for name, m := range real {
		if !strings.HasPrefix(name, "wsfpm_") {
			continue
		}
		if got, ok := documented[name]; !ok {
			t.Errorf("docs/metrics.md does not tell of %s, a %v", name, m)
		} else if got.String() != m.String() {
			t.Errorf("docs/metrics.md: %s is %v, want %v", name, got, m)
		}
	}
	for name := range documented {
		if _, ok := real[name]; !ok {
			t.Errorf("docs/metrics.md has %s, which no gateway exports", name)
		}
	}
	if len(documented) == 0 {
		t.Error("no metric was found on the page")
	}
}

var metricName = regexp.MustCompile(`\$?\bwsfpm_[a-z][a-z0-9_]+\b`) // "$": a variable of nginx

// TestPagesNameOnlyMetricsThatExist looks at prose and queries too.
func TestPagesNameOnlyMetricsThatExist(t *testing.T) {
	known := parse(seasoned(t))
	for _, page := range []string{"docs/metrics.md", "docs/deploy.md", "README.md"} {
		for _, name := range metricName.FindAllString(read(t, page), -1) {
			if _, ok := known[name]; !ok && !strings.HasPrefix(name, "$") && !exists(known, name) {
				t.Errorf("%s names %s, which no gateway has", page, name)
			}
		}
	}
}

// exists reports whether a query may use the name.
func exists(known map[string]metric, name string) bool {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && known[base].kind == "histogram" {
			return true
		}
	}
	m, ok := known[name]
	return ok && m.kind != "histogram"
}

// names sorts a set's names for messages.
func names(known map[string]metric) []string { return slices.Sorted(maps.Keys(known)) }
