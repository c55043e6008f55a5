package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"wsfpm/gateway/redisurl"
)

// write puts a document into a file of its own.
func write(t *testing.T, doc string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "wsfpm.toml")
	if err := os.WriteFile(name, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// valid reads a document that must be valid.
func valid(t *testing.T, doc string) *Config {
	t.Helper()
	c, err := Load(Source{File: write(t, doc)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// route is the least that a file must have.
const route = "[[route]]\npath = \"/ws\"\nscript = \"/srv/ws.php\"\n"

func TestEveryKeyRoundTrips(t *testing.T) {
	first, err := Load(Source{File: "testdata/full.toml"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := toml.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	second := valid(t, string(text))
	again, err := toml.Marshal(second)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, text) {
		t.Errorf("got %s, want %s", again, text)
	}
}

func TestFullFileSetsEveryKeyToAnotherValue(t *testing.T) {
	c, err := Load(Source{File: "testdata/full.toml"})
	if err != nil {
		t.Fatal(err)
	}
	d := Default()
	differs(t, "", *c, *d)
	differs(t, "fpm.default.", *c.FPM["default"], *newPool(DefaultPool))
	differs(t, "redis.", c.Redis, d.Redis)
	differs(t, "redis.relay.", c.Redis.Relays[0], Relay{})
	both := *c.Routes[0]
	both.Root = c.Routes[1].Root // script and root exclude each other
	differs(t, "route.", both, *NewRoute("", ""))
	differs(t, "limits.", c.Limits, d.Limits)
	differs(t, "log.", c.Log, d.Log)
}

// differs checks that every key of a table has a value other than its default.
func differs(t *testing.T, table string, got, standard any) {
	t.Helper()
	for field := range reflect.TypeOf(got).Fields() {
		key := field.Tag.Get("toml")
		if key == "" || key == "-" {
			continue
		}
		a := reflect.ValueOf(got).FieldByIndex(field.Index).Interface()
		b := reflect.ValueOf(standard).FieldByIndex(field.Index).Interface()
		if reflect.DeepEqual(a, b) {
			t.Errorf("%s%s is %v, its default: testdata/full.toml does not show that it is read", table, key, a)
		}
	}
}

// contractDefaults are the defaults that docs/contract.md states.
const contractDefaults = `
listen = "127.0.0.1:8080"
listen_mode = "0660"
admin = ""
admin_token = ""
drain = "30s"
disconnect_retry = "60s"
trusted_proxies = ["127.0.0.1/32", "::1/128", "unix"]
[fpm.default]
address = "unix:/run/php/php8.2-fpm.sock"
max_connections = 3
max_idle = 1
idle_timeout = "2s"
queue_wait = "10s"
pool_share = "50 %"
max_streams = 1
[redis]
url = ""
prefix = "ws:"
confirm = "1s"
push_limit = "1MiB"
[durable]
keep = "1h"
memory = "64MiB"
stream = "ws:log"
tag = "auto"
replay = 1000
[[route]]
path = "/ws"
script = "/srv/ws.php"
document_root = "/srv"
resolve_root = true
fpm = "default"
origins = []
require_origin = false
public = false
dev = false
detect_php_errors = true
events = ["connect", "message", "disconnect"]
content_type = "text/plain; charset=utf-8"
on_error = "keep"
accept = "2xx"
message_limit = "64KiB"
answer_limit = "16MiB"
timeout = "30s"
stream_timeout = "10m"
once = "0s"
once_answer = "16KiB"
cache = 0
cache_key = ["user", "state", "channels"]
cache_max_age = "60s"
resume = false
resume_age = "10m"
gap_message = ""
[limits]
connections = 100000
connections_per_address = 100
accept_rate = 5000
accept_burst = 10000
channels = 64
messages_per_second = 10
burst = 30
queue = "1MiB"
queue_messages = 10000
write_timeout = "10s"
inbound_memory = "256MiB"
outbound_memory = "256MiB"
backlog = 32
backlog_bytes = "256KiB"
ping_interval = "25s"
pong_timeout = "20s"
handshake_headers = "32KiB"
handshake_header_count = 64
[log]
level = "info"
format = "auto"
`

func TestDefaultsAreTheContracts(t *testing.T) {
	c := valid(t, route)
	want := valid(t, contractDefaults)
	c.origin, want.origin, want.Routes[0].Origins = nil, nil, nil
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v\nroute %+v\npool %+v\nwant %+v\nroute %+v\npool %+v", c, c.Routes[0], c.FPM["default"], want, want.Routes[0], want.FPM["default"])
	}
}

func TestZeroConfiguration(t *testing.T) {
	c, err := Load(Source{
		Flags:  map[string]string{"listen": "127.0.0.1:8081", "fpm.default.address": "unix:/tmp/fpm.sock", "redis.url": "embedded"},
		Script: "/srv/app/ws.php",
		Web:    "/srv/app/public",
	})
	if err != nil {
		t.Fatal(err)
	}
	r := c.Routes[0]
	if len(c.Routes) != 1 || r.Path != AnyPath || r.Script != "/srv/app/ws.php" || r.DocumentRoot != "/srv/app" || r.FPM != "default" {
		t.Errorf("got route %+v", r)
	}
	if p := c.FPM["default"]; p.Network != "unix" || p.Addr != "/tmp/fpm.sock" {
		t.Errorf("got pool %+v", p)
	}
	if c.Listen[0] != "127.0.0.1:8081" || c.Redis.URL != redisurl.Embedded || c.Web != "/srv/app/public" || c.Node == "" {
		t.Errorf("got %+v", c)
	}
}

func TestFlagsOverEnvironmentOverFileOverDefaults(t *testing.T) {
	file := write(t, "drain = \"1s\"\n[redis]\nconfirm = \"1s\"\nurl = \"redis://file\"\n"+route+"[fpm.big-one]\naddress = \"unix:/big\"\n")
	environ := []string{
		"WSFPM_DRAIN=2s", "WSFPM_REDIS_CONFIRM=2s", "WSFPM_FPM_DEFAULT_MAX_CONNECTIONS=7", "WSFPM_FPM_BIG_ONE_MAX_IDLE=0",
		"WSFPM_REDIS_PREFIX=app:ws:", "WSFPM_LIMITS_MESSAGES_PER_SECOND=0.5", "WSFPM_CONFIG=/elsewhere", "PATH=/bin", "WSFPM_REDIS_URI=typo",
	}
	c, err := Load(Source{File: file, Environ: environ, Flags: map[string]string{"redis.confirm": "3s"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range []struct {
		key       string
		got, want any
	}{
		{"drain", time.Duration(c.Drain), 2 * time.Second},
		{"redis.confirm", time.Duration(c.Redis.Confirm), 3 * time.Second},
		{"redis.url", c.Redis.URL, "redis://file"},
		{"redis.prefix", c.Redis.Prefix, []string{"app:ws:"}},
		{"redis.push_limit", c.Redis.PushLimit, Size(1 << 20)},
		{"fpm.default.max_connections", c.FPM["default"].MaxConnections, 7},
		{"fpm.big-one.max_idle", c.FPM["big-one"].MaxIdle, 0},
		{"limits.messages_per_second", c.Limits.MessagesPerSecond, 0.5},
	} {
		if !reflect.DeepEqual(check.got, check.want) {
			t.Errorf("%s: got %v, want %v", check.key, check.got, check.want)
		}
	}
	if w := strings.Join(c.Warnings(), "\n"); !strings.Contains(w, "WSFPM_REDIS_URI in the environment was ignored: it is not a key; did you mean WSFPM_REDIS_URL?") {
		t.Errorf("got warnings %q, want one about the misspelt variable", w)
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	_, err := Load(Source{
		File: write(t, `
listne = "127.0.0.1:8080"
drain = 30
ping_interval = "20s"
[redis]
urll = "x"
push_limit = "1MB"
[limits]
burst = "many"
[[route]]
path = "/ws"
script = "ws.php"
on_error = "mesage"
[route.params]
WS_USER = "admin"
PHP_VALUE = "x=1"
[[route]]
path = "/two"
events = ["message"]
`),
		Environ: []string{"WSFPM_LOG_LEVEL=loud"},
		Flags:   map[string]string{"node": "web 1", "routes": "x"},
	})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{
		"line 2: listne: unknown key: did you mean listen?",
		"line 4: ping_interval: unknown key: did you mean ping_interval below [limits]?",
		"line 6: redis.urll: unknown key: did you mean url?",
		`line 3: drain: "30" is not a duration: write "30s"`,
		`line 7: redis.push_limit: "1MB" is not a size`,
		`line 9: limits.burst: want a whole number, got "many"`,
		`line 12: route[1].script: "ws.php" is not absolute`,
		`line 13: route[1].on_error: "mesage" is unknown: write one of keep, message, close`,
		"line 15: route[1].params.WS_USER: names that begin with WS_ are ours",
		"line 16: route[1].params.PHP_VALUE: would stay with the PHP worker",
		"line 17: route[2].script: is missing",
		"line 19: route[2].events: without connect every client is accepted",
		`WSFPM_LOG_LEVEL: log.level: "loud" is unknown`,
		`command line: node: "web 1" has ' ' in it`,
		"command line: routes: unknown key",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q", want)
		}
	}
	if want := "15 problems"; !strings.Contains(err.Error(), want) {
		t.Errorf("want %s", want)
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestSyntaxErrorNamesTheLine(t *testing.T) {
	_, err := Load(Source{File: write(t, "node = \"a\"\nlisten = [\n")})
	if err == nil || !strings.Contains(err.Error(), "line ") {
		t.Errorf("got %v, want an error with a line", err)
	}
	_, err = Load(Source{File: write(t, "node = \"a\"\nnode = \"b\"\n"+route)})
	if err == nil || !strings.Contains(err.Error(), "node") {
		t.Errorf("got %v, want an error about the key that is there twice", err)
	}
}

func TestMissingFileIsAnError(t *testing.T) {
	if _, err := Load(Source{File: filepath.Join(t.TempDir(), "none.toml")}); err == nil {
		t.Error("got no error")
	}
}

func TestWrongTypesAreNamed(t *testing.T) {
	for doc, want := range map[string]string{
		"redis = 1\n":                          "redis: want a table, got 1: write [redis] above its keys",
		"fpm = []\n":                           "fpm: want a table, got a list",
		"[fpm]\naddress = \"unix:/x\"\n":       "fpm.address: a pool's keys stand in a table with its name: write them below [fpm.default]",
		"[fpm]\nweb = 1\n":                     "fpm.web: want a table, got 1",
		"[route]\npath = \"/\"\n":              "route: want tables: write [[route]] above each one's keys",
		"route = [1]\n":                        "route[1]: want a table, got 1",
		"listen = [1]\n":                       "listen[1]: want a string in quotes, got 1",
		"trusted_proxies = \"unix\"\n":         `trusted_proxies: want a list of strings, such as ["a", "b"], got "unix"`,
		"listen_mode = 660\n":                  "listen_mode: want octal digits in quotes",
		"drain = 2020-01-01\n":                 "drain: want a duration",
		"[limits]\nconnections = 1.5\n":        "limits.connections: want a whole number, got 1.5",
		"[limits]\nmessages_per_second = []\n": "limits.messages_per_second: want a number, got a list",
		"[fpm.default]\npool_share = true\n":   "fpm.default.pool_share: want a part of a whole",
		route + "public = \"yes\"\n":           `route[1].public: want true or false, got "yes"`,
		route + "fpm = 1\n":                    "route[1].fpm: want a string in quotes",
		route + "fpm = []\n":                   "route[1].fpm: has no name, or an empty one",
		route + "fpm = [\"default\", \"\"]\n":  "route[1].fpm: has no name, or an empty one",
		route + "fpm = [\"default\", 1]\n":     "route[1].fpm[2]: want a string in quotes, got 1",
		route + "params = { A = 1 }\n":         "route[1].params.A: want a string in quotes, got 1",
		route + "script_name = \"x\"\n":        "route[1].script_name: unknown key: the keys here are path, host, script",
		route + "[redis.relays]\n":             "redis.relays: unknown key: did you mean relay?",
	} {
		_, err := Load(Source{File: write(t, doc)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", doc, err, want)
		}
	}
}

func TestARefusedValueIsOneProblem(t *testing.T) {
	pools := "[fpm.a]\naddress = \"unix:/a\"\n[fpm.b]\naddress = \"unix:/b\"\n"
	for doc, want := range map[string]string{
		route + "fpm = []\n":                       "route[1].fpm: has no name, or an empty one",
		route + "fpm = [\"\", \"a\"]\n":            "route[1].fpm: has no name, or an empty one",
		route + "fpm = [1]\n":                      "route[1].fpm[1]: want a string in quotes, got 1",
		route + "fpm = 1\n":                        "route[1].fpm: want a string in quotes",
		"listen = [1]\n" + route + "fpm = \"a\"\n": "listen[1]: want a string in quotes, got 1",
		"route = [1]\n":                            "route[1]: want a table, got 1",
	} {
		_, err := Load(Source{File: write(t, doc+pools)})
		var all *Error
		if !errors.As(err, &all) || len(all.Problems) != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q alone", doc, err, want)
		}
	}
}

func TestARouteHasSpares(t *testing.T) {
	t.Log("contract-row: 5.fpm-list")
	pools := "[fpm.local]\naddress = \"unix:/a\"\n[fpm.spare]\naddress = \"unix:/b\"\n"
	for _, test := range []struct{ fpm, want string }{
		{`fpm = ["local", "spare"]`, "local spare"},
		{`fpm = ["spare"]`, "spare"},
		{`fpm = "spare"`, "spare"},
	} {
		r := valid(t, pools+route+test.fpm+"\n").Routes[0]
		if got := strings.Join(r.Pools(), " "); got != test.want {
			t.Errorf("%s: got %s, want %s", test.fpm, got, test.want)
		}
	}
}

func TestLinesOfInlineTables(t *testing.T) {
	_, err := Load(Source{File: write(t, "route = [\n  { path = \"/a\", script = \"/a.php\" },\n  { path = \"/b\",\n script = \"b.php\" },\n]\nfpm.default.max_idle = 9\n")})
	for _, want := range []string{"line 4: route[2].script", "line 6: fpm.default.max_idle"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestScriptBesideRoutesIsAnError(t *testing.T) {
	_, err := Load(Source{File: write(t, route), Script: "/srv/x.php"})
	if err == nil || !strings.Contains(err.Error(), "--script: the file has routes already") {
		t.Errorf("got %v", err)
	}
}
