package contract

import (
	"os"
	"path/filepath"
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

func TestAClusterNeedsOneSlotForWhatScriptsChange(t *testing.T) {
	Row(t, "5.prefix-slot", "5.registry-redis")
	routes := map[string]string{
		"registry": soundFile + "registry = true\n",
		"once":     soundFile + "once = \"2m\"\n",
		"presence": soundFile + "[presence]\nusers = true\n",
	}
	const cluster = "url = \"redis://127.0.0.1:1,127.0.0.1:2/?cluster=true\"\n"
	for key, text := range routes {
		out, code := checkFile(t, text+"[redis]\n"+cluster)
		if code == 0 || !strings.Contains(out, key+": needs one hash slot") || !strings.Contains(out, `"{ws}:"`) {
			t.Errorf("%s without a hash tag: got exit code %d: %s", key, code, out)
		}
		if out, code := checkFile(t, text+"[redis]\nprefix = \"{ws}:\"\n"+cluster); code != 0 {
			t.Errorf("%s with a hash tag: got exit code %d: %s", key, code, out)
		}
		if out, code := checkFile(t, text); code == 0 || !strings.Contains(out, key+": ") {
			t.Errorf("%s without Redis: got exit code %d: %s", key, code, out)
		}
	}
	file := filepath.Join(t.TempDir(), "wsfpm.toml")
	if err := os.WriteFile(file, []byte(routes["once"]+"[redis]\n"+cluster), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, code := stack.Command(t, "serve", "--config", file); code == 0 || !strings.Contains(out, "once: needs one hash slot") {
		t.Errorf("serve: got exit code %d: %s", code, out)
	}
}
