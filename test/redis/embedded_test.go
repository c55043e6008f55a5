package redistest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"wsfpm/test/stack"
)

// pushPHP runs examples/php/push.php, by phpredis or, without any extension,
// by its own few lines of Redis's protocol. It prints how many nodes have heard it.
func pushPHP(t *testing.T, want string, extensions bool, args ...string) {
	t.Helper()
	command := []string{filepath.Join(stack.Root(t), "examples", "php", "push.php")}
	if !extensions {
		command = append([]string{"-n"}, command...)
	}
	out, err := exec.Command(stack.Tool(t, "php-cli", "php"), append(command, args...)...).CombinedOutput()
	if err != nil || string(out) != want+"\n" {
		t.Errorf("push.php: got %q, %v, want %s", out, err, want)
	}
}

func TestTheEmbeddedServerTakesPushesOfAnybody(t *testing.T) {
	row(t, "3.embedded", "5.push")
	address := stack.FreeAddress(t)
	n := startNode(t, "one", "embedded", fmt.Sprintf("listen = %q", address))
	c := n.dial(t, "WS-Join: hall", "WS-User: 42")
	url := "redis://" + address
	pushes := map[string]func(text string){
		"push.php with phpredis":      func(text string) { pushPHP(t, "1 node", true, "--redis", url, "user:42", text) },
		"push.php without extensions": func(text string) { pushPHP(t, "1 node", false, "--redis", url, "channel:hall", text) },
		"push.php, a command": func(text string) {
			pushPHP(t, "1 node", false, "--redis", url, "--json", `{"to":["user:42","channel:hall"],"data":"`+text+`"}`)
		},
		"redis-cli":                       func(text string) { redisCLI(t, address, "publish", "ws:all", text) },
		"wsfpm push by URL":               func(text string) { wsfpmPush(t, "--redis", url, "conn:"+c.id, text) },
		"wsfpm push by its configuration": func(text string) { wsfpmPush(t, "--config", n.Config, "user:42", text) },
		"a script's answer":               func(text string) { c.say(text, "WS-Publish: channel:hall") },
	}
	for name, push := range pushes {
		push(name)
		c.Expect(name)
	}
	c.do("nothing came twice")
	equal(t, "subscribers of a channel without members", (&stack.RedisServer{Addr: address}).Publish(t, "ws:channel:none", "x"), 0)
}

func wsfpmPush(t *testing.T, args ...string) {
	t.Helper()
	if out, code := stack.Command(t, append([]string{"push"}, args...)...); code != 0 {
		t.Errorf("wsfpm push %v: exit code %d, %s", args, code, out)
	}
}

func TestWithoutRedisPushesWorkInTheProcess(t *testing.T) {
	row(t, "3.no-redis", "2.publish-local", "2.promise-reply-first")
	n := startNode(t, "one", "", "")
	a, b := n.dial(t, "WS-Join: hall", "WS-User: a"), n.dial(t, "WS-User: b")
	b.do("joined", "WS-Join: hall")
	a.say("by header", "WS-Publish: channel:hall, user:b; except=self")
	b.Expect("by header")
	a.say(`[{"to":"all","base64":"AAEC"},{"data":"first"}]`, commandType)
	a.Expect("first")
	a.ExpectBinary([]byte{0, 1, 2})
	b.ExpectBinary([]byte{0, 1, 2})
	status, body := n.Push(t, `{"to":["user:a","channel:hall"],"data":"by HTTP"}`)
	equal(t, "/push", fmt.Sprint(status, " ", body), "200 {\"delivered\":2}\n")
	a.Expect("by HTTP")
	b.Expect("by HTTP")
	equal(t, "/ready is green", n.Ready(), true)
}
