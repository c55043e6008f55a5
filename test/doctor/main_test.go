package doctor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

func TestMain(m *testing.M) {
	os.Exit(stack.Main(m, "doctor", func(*stack.Suite) {}))
}

// host is the site's name in all tests.
const host = "example.test"

// site is what stands behind a proxy.
type site struct {
	dir     string // certificates, the gateway's socket and the count of runs
	ca      string
	fpm     *stack.FPMServer
	redis   *stack.RedisServer
	gateway *stack.GatewayServer
	runs    string // has a byte for each run of the script
}

// counting is a site's script, which notes each run.
const counting = `file_put_contents('RUNS', 'x', FILE_APPEND);
echo file_get_contents('php://input');`

// newSite starts a gateway with a control socket and a route /ws/count.
func newSite(t *testing.T, listen string) *site {
	t.Helper()
	stack.Integration(t)
	s := &site{dir: stack.TempDir(t)}
	if err := os.Chmod(s.dir, 0o755); err != nil { // proxies run as users of their own
		t.Fatal(err)
	}
	a := newAuthority(t, s.dir)
	s.ca = a.file
	a.issue(t, s.dir, "right", host, time.Now().Add(-time.Hour), time.Now().AddDate(0, 0, 90))
	a.issue(t, s.dir, "old", host, time.Now().AddDate(0, 0, -90), time.Now().Add(-time.Hour))
	a.issue(t, s.dir, "late", host, time.Now().AddDate(0, 0, -85), time.Now().AddDate(0, 0, 5))
	a.issue(t, s.dir, "other", "other.test", time.Now().Add(-time.Hour), time.Now().AddDate(0, 0, 90))
	s.fpm = stack.FPM(t, stack.FPMOptions{Ini: rightINI})
	s.redis = stack.Redis(t, stack.RedisOptions{Args: rightRedis})
	s.runs = filepath.Join(s.dir, "runs")
	scripts := stack.Scripts(t, map[string]string{"count.php": strings.ReplaceAll(counting, "RUNS", s.runs)})
	if listen == "" {
		listen = "unix:" + filepath.Join(s.dir, "ws.sock")
	}
	admin := stack.FreeAddress(t)
	conf := strings.NewReplacer("LISTEN", listen, "ADMIN", admin, "CONTROL", s.dir+"/control.sock", "FPM", s.fpm.Address, "REDIS", s.redis.URL(), "SCRIPTS", scripts).Replace(rightConfig)
	s.gateway = stack.Gateway(t, stack.GatewayOptions{Listen: listen, AdminAddress: admin, File: conf})
	return s
}

// rightConfig is the gateway's configuration. It pings every two seconds.
const rightConfig = `
node        = "test"
listen      = "LISTEN"
listen_mode = "0666"
admin       = "ADMIN"
admin_token = "7d0f2c9b5a6e418396d1f0c8e2b4a791"
control     = "unix:CONTROL"
drain       = "1s"
[fpm.default]
address = "FPM"
[redis]
url = "REDIS"
[limits]
ping_interval = "2s"
pong_timeout  = "2s"
connections   = 1000
connections_per_address = 0
[log]
format = "json"
[[route]]
path = "/ws/{script}"
root = "SCRIPTS"
`

var rightINI = map[string]string{"output_buffering": "65536", "error_log": "", "fastcgi.error_header": `"WS-Failed: 1"`}

var rightRedis = []string{"--client-output-buffer-limit", "pubsub 256mb 64mb 60", "--appendonly", "yes"}

// poolFile writes PHP-FPM's own files as an operator has them, and returns the name.
func (s *site) poolFile(t *testing.T, change ...string) string {
	t.Helper()
	file := filepath.Join(stack.TempDir(t), "fpm.conf")
	text := strings.NewReplacer(change...).Replace(strings.NewReplacer("FPM", s.fpm.Socket).Replace(`[global]
process_control_timeout = 60s
[www]
listen = FPM
pm = static
pm.max_children = 4
request_terminate_timeout = 0
catch_workers_output = no
php_admin_value[output_buffering] = 65536
php_admin_value[error_log] =
php_admin_value[fastcgi.error_header] = "WS-Failed: 1"
`))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// result is one line of wsfpm doctor --json.
type result struct{ Check, Status, Text, Cure string }

// report is what it prints.
type report struct {
	Exit    int
	Results []result
}

// of returns the result of a check.
func (r report) of(t *testing.T, check string) result {
	t.Helper()
	i := slices.IndexFunc(r.Results, func(each result) bool { return each.Check == check })
	if i < 0 {
		t.Fatalf("no check %q in %v", check, r)
	}
	return r.Results[i]
}

// found are the checks with a warning or a fault.
func (r report) found() (names []string) {
	for _, each := range r.Results {
		if each.Status == "warning" || each.Status == "fault" {
			names = append(names, each.Check)
		}
	}
	return names
}

// ask runs wsfpm doctor.
func ask(t *testing.T, args ...string) report {
	t.Helper()
	text, status := stack.Command(t, append([]string{"doctor", "--json"}, args...)...)
	var r report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("wsfpm doctor printed %q: %v", text, err)
	}
	if status != r.Exit {
		t.Errorf("the exit status is %d, and %d in the JSON", status, r.Exit)
	}
	return r
}

// front is a proxy that runs.
type front struct {
	tls, plain string // addresses
}

// examine runs wsfpm doctor through a proxy, with the self-test.
func (s *site) examine(t *testing.T, f front, args ...string) report {
	t.Helper()
	return s.outside(t, f, append(s.inside(t), args...)...)
}

// inside are the flags that show the inside.
func (s *site) inside(t *testing.T) []string {
	return []string{"--config", s.gateway.Config, "--probe", filepath.Join(stack.Root(t), "deploy/php-fpm/probe.php"), "--fpm-pool", s.poolFile(t)}
}

// outside is examine from another machine.
func (s *site) outside(t *testing.T, f front, args ...string) report {
	t.Helper()
	return ask(t, append([]string{"wss://" + host + "/ws/count", "--ca", s.ca, "--connect", "443=" + f.tls, "--connect", "80=" + f.plain}, args...)...)
}

// noRuns fails if PHP has run a script of the site.
func (s *site) noRuns(t *testing.T) {
	t.Helper()
	if runs, err := os.ReadFile(s.runs); err == nil {
		t.Errorf("the site's script ran %d times", len(runs))
	}
}

// mistake is a change of a right configuration.
type mistake struct {
	name     string
	old, new string // in the configuration
	check    string // the one that finds it
	status   string // "" is a fault
	cure     string // words of its cure
	args     []string
}

// plant returns the configuration with a mistake.
func (m mistake) plant(t *testing.T, conf string) string {
	t.Helper()
	if !strings.Contains(conf, m.old) {
		t.Fatalf("the configuration has no %q", m.old)
	}
	return strings.ReplaceAll(conf, m.old, m.new)
}

// only fails unless the mistake, and nothing else, was found.
func (m mistake) only(t *testing.T, r report) {
	t.Helper()
	if got := r.found(); !slices.Equal(got, []string{m.check}) {
		t.Errorf("found %v, want %s\n%v", got, m.check, r)
		return
	}
	got, want := r.of(t, m.check), m.status
	if want == "" {
		want = "fault"
	}
	if got.Status != want || !strings.Contains(got.Cure, m.cure) {
		t.Errorf("got %v, want a %s with the cure %q", got, want, m.cure)
	}
}

// clean fails if anything was found, or if a check did not run but for those named.
func clean(t *testing.T, r report, notRun ...string) {
	t.Helper()
	if r.Exit != 0 || len(r.found()) > 0 {
		t.Errorf("found %v\n%v", r.found(), r)
	}
	for _, each := range r.Results {
		if each.Status == "not run" != slices.Contains(notRun, each.Check) {
			t.Errorf("%s: %s: %s", each.Check, each.Status, each.Text)
		}
	}
}
