package redistest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// shared are the servers that all tests of the package use.
var shared struct {
	fpm *stack.FPMServer
	dir string // of the scripts
}

// whoScript answers connect with the connection's id, and does what a message
// says: header lines, an empty line, the body.
const whoScript = `
require __DIR__ . '/chatty.php';
if ($_SERVER['WS_EVENT'] === 'connect' && !isset($_GET['body'])) echo $_SERVER['WS_CONNECTION'];`

func TestMain(m *testing.M) {
	os.Exit(stack.Main(m, "redis", func(s *stack.Suite) {
		shared.fpm = stack.FPM(s, stack.FPMOptions{Children: 24, Pool: map[string]string{"listen.backlog": "511"}})
		shared.dir = stack.Scripts(s, map[string]string{"who.php": whoScript})
	}))
}

// node is one running wsfpm.
type node struct{ *stack.GatewayServer }

// startNode runs wsfpm with a route /ws. Lines go into [redis].
func startNode(t *testing.T, name, url, lines string) node {
	t.Helper()
	stack.Integration(t)
	binary := ""
	if name == "two" {
		binary = os.Getenv("WSFPM_OTHER_BINARY")
	}
	return node{stack.Gateway(t, stack.GatewayOptions{
		Binary: binary, Node: name, Drain: "100ms", FPM: shared.fpm, FPMLines: "max_connections = 10\nmax_idle = 10",
		Redis: url, RedisTOML: lines, Limits: "messages_per_second = 0\nchannels = 0",
		Env:    []string{"GORACE=atexit_sleep_ms=0"}, // else every end takes a second
		Routes: fmt.Sprintf("[[route]]\npath = \"/ws\"\nscript = %q\n", filepath.Join(shared.dir, "who.php")),
	})}
}

// startTwo runs two nodes on one Redis. The second is of another version if
// WSFPM_OTHER_BINARY names its program.
func startTwo(t *testing.T, url, lines string) [2]node {
	t.Helper()
	return [2]node{startNode(t, "one", url, lines), startNode(t, "two", url, lines)}
}

// client is a connection that knows its id.
type client struct {
	*stack.Client
	id string
}

// dial connects to the node; the connect answer has the given headers.
func (n node) dial(t stack.T, headers ...string) client {
	t.Helper()
	return dial(t, n.URL, headers...)
}

func dial(t stack.T, url string, headers ...string) client {
	t.Helper()
	query := ""
	for _, h := range headers {
		query += "&h[]=" + strings.ReplaceAll(h, " ", "%20")
	}
	c := client{Client: stack.Dial(t, url+"/ws?"+query, stack.DialOptions{})}
	c.id = string(c.Next().Data)
	return c
}

// say lets PHP answer with the body and the headers.
func (c client) say(body string, headers ...string) {
	c.Send(strings.Join(headers, "\n") + "\n\n" + body)
}

// do is say with a reply that is awaited: nothing may come before it.
func (c client) do(reply string, headers ...string) {
	c.say(reply, headers...)
	c.Expect(reply)
}

const commandType = "Content-Type: application/vnd.wsfpm+json"

// publish is what a program beside wsfpm does: it returns what Redis counted.
func publish(t stack.T, r redis.UniversalClient, channel, payload string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), stack.Patience)
	defer cancel()
	n, err := r.Publish(ctx, channel, payload).Result()
	if err != nil {
		t.Fatalf("publish to %s: %v", channel, err)
	}
	return n
}

// worker is a test as one of its goroutines sees it: a failure ends the
// goroutine.
type worker struct{ *testing.T }

// Fatalf fails the test and ends the goroutine.
func (w worker) Fatalf(format string, args ...any) {
	w.Helper()
	w.Errorf(format, args...)
	runtime.Goexit()
}

// parallel runs n goroutines and waits for them.
func parallel(t *testing.T, n int, run func(w worker, i int)) {
	t.Helper()
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() { run(worker{t}, i) })
	}
	running.Wait()
}

// equal fails the test when got is not want.
func equal[V comparable](t stack.T, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// row says which promises of docs/contract.md the test holds.
func row(t *testing.T, ids ...string) {
	t.Helper()
	stack.Integration(t)
	contract.Row(t, ids...)
}
