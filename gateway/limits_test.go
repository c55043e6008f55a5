package gateway

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"wsfpm/gateway/config"
)

// usedIn is the file that applies a limit which package ws does not get.
var usedIn = map[string]string{
	"connections":             "admission.go",
	"connections_per_address": "admission.go",
	"connections_per_user":    "apply.go",
	"accept_rate":             "admission.go",
	"accept_burst":            "admission.go",
	"handshake_timeout":       "../cmd/wsfpm/serve.go",
	"handshake_headers":       "request.go",
	"handshake_header_count":  "request.go",
	"channels":                "push.go",
	"messages_per_second":     "serve.go",
	"burst":                   "serve.go",
	"relay_per_second":        "relay.go",
	"relay_frame":             "relay.go",
	"backlog":                 "serve.go",
	"backlog_bytes":           "serve.go",
	"inbound_memory":          "gateway.go",
	"outbound_memory":         "gateway.go",
	"lifetime":                "upkeep.go",
	"idle":                    "upkeep.go",
}

// countedAs is the series of a limit that has none by its own key; "" if it cannot be
// reached.
var countedAs = map[string]string{
	"accept_burst":  "accept_rate",
	"burst":         "messages_per_second",
	"backlog_bytes": "backlog",
	"control_burst": "control_rate",
	"ping_interval": "",
}

// eachLimit calls test with each key of [limits] and its field.
func eachLimit(t *testing.T, test func(t *testing.T, key string, field reflect.StructField)) {
	for field := range reflect.TypeFor[config.Limits]().Fields() {
		t.Run(field.Tag.Get("toml"), func(t *testing.T) { test(t, field.Tag.Get("toml"), field) })
	}
}

func TestEachLimitIsApplied(t *testing.T) {
	none := socketLimits(&config.Limits{}, &config.Route{})
	eachLimit(t, func(t *testing.T, key string, field reflect.StructField) {
		var l config.Limits
		value := reflect.ValueOf(&l).Elem().FieldByIndex(field.Index)
		value.Set(reflect.ValueOf(7).Convert(value.Type()))
		reaches := !reflect.DeepEqual(socketLimits(&l, &config.Route{}), none)
		if file := usedIn[key]; reaches == (file != "") {
			t.Fatalf("reaches ws.Limits: %v, and usedIn names %q: a limit is in settings.go (socketLimits) or in another file of the gateway", reaches, file)
		}
		if reaches {
			return
		}
		source, err := os.ReadFile(usedIn[key])
		if use := regexp.MustCompile(`\.` + field.Name + `\b`); err != nil || !use.Match(source) {
			t.Errorf("%s does not use %s (%v): name the file that does in usedIn", usedIn[key], field.Name, err)
		}
	})
}

func TestEachLimitHasABound(t *testing.T) {
	eachLimit(t, func(t *testing.T, key string, field reflect.StructField) {
		value := "-1"
		if field.Type == reflect.TypeFor[config.Duration]() {
			value = `"-1s"`
		}
		name := filepath.Join(t.TempDir(), "wsfpm.toml")
		if err := os.WriteFile(name, []byte("[limits]\n"+key+" = "+value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(config.Source{File: name, NoRoutes: true})
		var all *config.Error
		if !errors.As(err, &all) || !slices.ContainsFunc(all.Problems, func(p config.Problem) bool { return p.Key == "limits."+key }) {
			t.Errorf("%s = %s: got %v, want a problem: give it a bound in config/check_limits.go", key, value, err)
		}
	})
}

func TestEachLimitIsCounted(t *testing.T) {
	series, known := new(Gateway).limits(new(Stats)), map[string]bool{}
	eachLimit(t, func(t *testing.T, key string, _ reflect.StructField) {
		known[key] = true
		as, other := countedAs[key]
		_, own := series[key]
		if own == other {
			t.Errorf("has a series of its own: %v, is in countedAs: %v: give it one in snapshot.go (limits)", own, other)
		}
		if _, ok := series[as]; as != "" && !ok {
			t.Errorf("countedAs names %q, which is no series", as)
		}
	})
	known["message_limit"] = true // of a route
	for key := range series {
		if !known[key] {
			t.Errorf("the series %q is no key of [limits]", key)
		}
	}
}

// A burst is in the row of its rate, backlog_bytes in that of backlog.
func TestEachLimitIsInTheContract(t *testing.T) {
	text, err := os.ReadFile("../docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	eachLimit(t, func(t *testing.T, key string, _ reflect.StructField) {
		row, want := "| `limits."+key+"` |", ""
		if as := countedAs[key]; as != "" {
			row, want = "| `limits."+as+"` |", "(`"+key+"`)"
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, row) && strings.Contains(line, want) {
				return
			}
		}
		t.Errorf("docs/contract.md has no row that begins with %q and has %q in it", row, want)
	})
}
