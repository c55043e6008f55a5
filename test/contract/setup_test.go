package contract

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"wsfpm/test/stack"
)

// shared are the servers that all tests of the package use.
var shared struct {
	fpm   *stack.FPMServer
	redis *stack.RedisServer
}

func TestMain(m *testing.M) {
	os.Exit(stack.Main(m, "contract", func(s *stack.Suite) {
		shared.fpm = stack.FPM(s, stack.FPMOptions{Children: 24, Pool: map[string]string{"listen.backlog": "511"}})
		shared.redis = stack.Redis(s, stack.RedisOptions{})
	}))
}

// setup is what one test wants of its gateway. The zero value is a gateway
// without Redis whose route /ws runs script.
type setup struct {
	script  string            // PHP source of ws.php, or the name of a script of the library
	route   string            // further lines of the route
	scripts map[string]string // further PHP files beside ws.php
	redis   bool              // use the package's Redis, with a prefix of its own
	options stack.GatewayOptions
}

// world is one test's gateway and what belongs to it.
type world struct {
	*stack.GatewayServer
	t      *testing.T
	dir    string // of the scripts
	trace  stack.Trace
	prefix string // of Redis
}

// start runs a gateway for the test. It says which rows the test holds.
func start(t *testing.T, s setup, rows ...string) *world {
	t.Helper()
	stack.Integration(t)
	Row(t, rows...)
	w := &world{t: t, trace: stack.NewTrace(t), prefix: "ws:"}
	name := "ws.php"
	sources := map[string]string{}
	for file, source := range s.scripts {
		sources[file] = source
	}
	if strings.HasSuffix(s.script, ".php") {
		name = s.script
	} else if s.script != "" {
		sources["ws.php"] = "require __DIR__ . '/event.php'; wsfpm_trace();\n" + s.script
	}
	w.dir = stack.Scripts(t, sources)
	o := s.options
	if o.FPM == nil {
		o.FPM = shared.fpm
	}
	if s.redis {
		w.prefix = newPrefix()
		o.Redis = shared.redis.URL()
		o.RedisTOML = fmt.Sprintf("prefix = %q\n%s", w.prefix, o.RedisTOML)
	}
	if s.script != "" {
		o.Routes = w.routeTOML("/ws", name, s.route) + o.Routes
	}
	o.Routes = strings.NewReplacer("$DIR", w.dir, "$TRACE", w.trace.File).Replace(o.Routes)
	w.GatewayServer = stack.Gateway(t, o)
	return w
}

// routeTOML is one [[route]] whose scripts know the test's trace file. Lines
// may set params.TRACE aside by their own params.
func (w *world) routeTOML(path, script, lines string) string {
	params := fmt.Sprintf("params = { TRACE = %q }\n", w.trace.File)
	if strings.Contains(lines, "params") {
		params = ""
	}
	return fmt.Sprintf("[[route]]\npath = %q\nscript = %q\n%s%s\n\n",
		path, filepath.Join(w.dir, script), params, strings.ReplaceAll(lines, "$TRACE", w.trace.File))
}

// dial connects to the route /ws, with an optional query such as "?a=1".
func (w *world) dial(query string, opt stack.DialOptions) *stack.Client {
	w.t.Helper()
	return stack.Dial(w.t, w.URL+"/ws"+query, opt)
}

// open is dial without any wish.
func (w *world) open() *stack.Client {
	w.t.Helper()
	return w.dial("", stack.DialOptions{})
}

// refused wants the handshake at /ws to be refused.
func (w *world) refused(query string, opt stack.DialOptions) stack.Refusal {
	w.t.Helper()
	return stack.Refused(w.t, w.URL+"/ws"+query, opt)
}

// prefixes is the number of prefixes that newPrefix has returned.
var prefixes atomic.Int64

// newPrefix returns a prefix for the package's Redis, in which earlier tests leave their keys.
func newPrefix() string { return fmt.Sprintf("ws%d:", prefixes.Add(1)) }

// publish sends a payload to an address through the test's Redis prefix.
func (w *world) publish(address, payload string) int64 {
	w.t.Helper()
	return shared.redis.Publish(w.t, w.prefix+address, payload)
}

// pushed sends one command to /push and wants the number of receivers.
func (w *world) pushed(command string, delivered int) {
	w.t.Helper()
	status, body := w.Push(w.t, command)
	if status != 200 || !strings.Contains(strings.ReplaceAll(body, " ", ""), fmt.Sprintf(`"delivered":%d`, delivered)) {
		w.t.Fatalf("push %s: got %d %s, want 200 and delivered %d", command, status, body, delivered)
	}
}

// equal fails the test when got is not want.
func equal[V comparable](t *testing.T, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// second starts another node with the first one's configuration.
func (w *world) second(t *testing.T, node string) *world {
	t.Helper()
	text := w.ConfigText(t)
	listen, admin := stack.FreeAddress(t), stack.FreeAddress(t)
	text = strings.ReplaceAll(text, w.Listen, listen)
	text = strings.ReplaceAll(text, strings.TrimPrefix(w.Admin, "http://"), admin)
	text = regexp.MustCompile(`(?m)^node = .*$`).ReplaceAllString(text, fmt.Sprintf("node = %q", node))
	other := *w
	other.GatewayServer = stack.Gateway(t, stack.GatewayOptions{File: text, Listen: listen, AdminAddress: admin})
	return &other
}
