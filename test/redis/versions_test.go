package redistest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// logless runs a node that does not read the log. WSFPM_OTHER_BINARY names the program of
// another version; one that has a log, as this one, runs with it shut, which is the same to
// all others.
func logless(t *testing.T, url string) (n node, other bool) {
	t.Helper()
	binary := os.Getenv("WSFPM_OTHER_BINARY")
	route := fmt.Sprintf("[[route]]\npath = \"/ws\"\nscript = %q\n", filepath.Join(shared.dir, "who.php"))
	if binary == "" || hasLog(binary) {
		route = "[durable]\nkeep = 0\n\n" + route + "resume = true\n"
	}
	return node{stack.Gateway(t, stack.GatewayOptions{Binary: binary, Node: "two", Drain: "100ms", FPM: shared.fpm, Redis: url,
		Env: []string{"GORACE=atexit_sleep_ms=0"}, Routes: route})}, binary != ""
}

// hasLog reports whether the wsfpm that a file has knows the log.
func hasLog(binary string) bool {
	out, _ := exec.Command(binary, "push", "--help").CombinedOutput() // the text decides
	return strings.Contains(string(out), "--durable")
}

// A node that reads the log runs beside one that does not, as in the first deploy with one.
func TestAPageMayComeToANodeWithoutALog(t *testing.T) {
	row(t, "3.log-versions", "7.off", "7.ok")
	server := stack.Redis(t, stack.RedisOptions{})
	one := keepingNode(t, "one", server.URL(), stack.NewTrace(t), "")
	two, other := logless(t, server.URL())
	add := func(data string) { server.Do(t, "xadd", "ws:log", "*", "to", "channel:room", "data", data) }
	placed := func(c *stack.Client, want string) string {
		t.Helper()
		var e struct{ ID, Data string }
		text := c.Next().Data
		if err := json.Unmarshal(text, &e); err != nil || e.Data != want || e.ID == "" {
			t.Fatalf("got %s, want %s with a position", text, want)
		}
		return e.ID
	}

	c := one.wrapped(t, "new", "", "WS-User: a", "WS-Join: room")
	c.Next() // connect's body
	add("first")
	at := placed(c, "first")
	c.Cut()
	add("missed")
	c = stack.Dial(t, two.URL+"/ws?h[]=WS-Join:room&ws_last="+at, stack.DialOptions{Protocols: []string{"wsfpm.v1"}})
	fast := `{"data":"fast"}`
	if c.Conn.Subprotocol() == "wsfpm.v1" {
		if hello := string(c.Next().Data); !strings.Contains(hello, `"resume":"off"`) {
			t.Errorf("got %s, want off", hello)
		}
	} else {
		fast = "fast"
		equal(t, "the node is of a version before wsfpm.v1", other, true)
	}
	c.Next()                                                           // connect's body
	equal(t, "nodes", server.Publish(t, "ws:channel:room", "fast"), 1) // the first one has no member left
	c.Expect(fast)                                                     // and nothing of the log
	c.Cut()
	c = one.wrapped(t, "ok", at, "WS-User: a", "WS-Join: room")
	placed(c, "missed")
	if id := strings.TrimSpace(string(c.Next().Data)); id == "" {
		t.Error("connect's body is empty")
	}
	add("last")
	placed(c, "last")
}
