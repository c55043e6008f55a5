package contract

import (
	"strings"
	"testing"

	"wsfpm/test/stack"
)

func TestRedisURLs(t *testing.T) {
	redis := stack.Redis(t, stack.RedisOptions{Args: []string{"--requirepass", "p@ss"}})
	for name, url := range map[string]string{
		"TCP with a password": "redis://:p%40ss@" + redis.Addr + "/3",
		"unix socket":         "unix://:p%40ss@" + redis.Socket() + "?db=1",
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, setup{script: "chatty.php", options: stack.GatewayOptions{Redis: url}}, "5.redis-url")
			c := w.dial("?h[]=WS-Join:c", stack.DialOptions{})
			say(c, "x", "WS-Publish: channel:c")
			c.Expect("x")
		})
	}
	Row(t, "5.redis-url", "5.redis-secret")
	for url, fine := range map[string]bool{"rediss://h:6380/0": true, "embedded": true, "": true, "http://h": false, "redis": false} {
		if _, code := checkFile(t, soundFile+"[redis]\nurl = \""+url+"\"\n"); (code == 0) != fine {
			t.Errorf("%q: got exit code %d, want it to be fine: %v", url, code, fine)
		}
	}
	for _, url := range []string{"redis://:hush/x@h", "redis://app:hush?x@h:1", "redis://:hush#x@h", "redis://:hu sh@h", "rediss://app:1/hush@a:1,b:2/?cluster=true",
		"redis://s:1,t:2?master_name=m&password=hush&x", "unix://:hush/x@/run/r.sock", "redis://app:hush"} {
		out, code := checkFile(t, soundFile+"[redis]\nurl = \""+url+"\"\n")
		if code == 0 || !strings.Contains(out, "redis.url") || strings.Contains(out, "hu") {
			t.Errorf("%s: got exit code %d: %s", url, code, out)
		}
	}
	if out, code := checkFile(t, soundFile+"[redis]\nurl = \"redis://s:1,t:2?master_name=m&password=hush\"\n"); code != 0 || strings.Contains(out, "hush") {
		t.Errorf("got exit code %d: %s", code, out)
	}
}
