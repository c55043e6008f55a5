package companions

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// A page of WordPress goes on when a push fails, and PHP's log has why.
func TestAFailedPushOfWordPressIsLogged(t *testing.T) {
	stack.Integration(t)
	redis := stack.Redis(t, stack.RedisOptions{})
	if err := redis.Client(t).Set(t.Context(), "ws:log", "no stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	plugin := filepath.Join(stack.Root(t), "client/wordpress/wsfpm.php")
	for name, c := range map[string]struct {
		php          []string
		redis        string
		result, logs string
	}{
		"Redis refuses":     {nil, redis.Addr, "[true,false]", "wsfpm_push: WRONGTYPE"},
		"Redis is gone":     {nil, "127.0.0.1:1", "[false,false]", "wsfpm_push: Connection refused"},
		"without extension": {[]string{"-n"}, redis.Addr, "[false,false]", `wsfpm_push: Class "Redis" not found`},
	} {
		cmd := exec.Command(stack.Tool(t, "php-cli", "php"), append(c.php, "-d", "display_errors=0", "-d", "log_errors=1", "testdata/wordpress.php", plugin, c.redis)...)
		var log strings.Builder
		cmd.Stderr = &log
		out, err := cmd.Output()
		if err != nil || string(out) != c.result || !strings.Contains(log.String(), c.logs) {
			t.Errorf("%s: got %s, %v, logged %q, want %s and %q", name, out, err, log.String(), c.result, c.logs)
		}
	}
}

// A Redis that needs a password, of the default user and of one that may do what docs/frameworks.md names.
func TestWordPressSignsInToRedis(t *testing.T) {
	stack.Integration(t)
	page, err := os.ReadFile(filepath.Join(stack.Root(t), "docs/frameworks.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rights, _ := strings.Cut(string(page), "That user needs `")
	rights, _, _ = strings.Cut(rights, "`,")
	user := append([]string{"--requirepass", "p@ss word", "--user", "site", "on", ">of-site"}, strings.Fields(rights)...)
	redis := stack.Redis(t, stack.RedisOptions{Args: append(user, "~ws:*", "&ws:*")})
	plugin := filepath.Join(stack.Root(t), "client/wordpress/wsfpm.php")
	php := stack.Tool(t, "php-cli", "php")
	for _, c := range []struct {
		words  []string
		pushes string
		counts bool
	}{
		{[]string{"p@ss word"}, "[true,true]", true},
		{[]string{"of-site", "site"}, "[true,true]", true},
		{[]string{"wrong"}, "[false,false]", false},
		{[]string{"p@ss word", "site"}, "[false,false]", false},
		{nil, "[false,false]", false},
	} {
		push := exec.Command(php, append([]string{"-d", "log_errors=0", "testdata/wordpress.php", plugin, redis.Addr}, c.words...)...)
		if out, err := push.Output(); err != nil || string(out) != c.pushes {
			t.Errorf("%q: got %s, %v, want %s", c.words, out, err, c.pushes)
		}
		// The gateway's script, without WordPress.
		count := exec.Command(php, "-d", "display_errors=0", plugin)
		count.Env = []string{"WS_EVENT=disconnect", "WS_CHANNELS=page-7", "WSFPM_REDIS=" + redis.Addr}
		for i, name := range []string{"PASSWORD", "USER"}[:len(c.words)] {
			count.Env = append(count.Env, "WSFPM_REDIS_"+name+"="+c.words[i])
		}
		if out, _ := count.Output(); c.counts != strings.HasPrefix(string(out), `{"readers":0,`) {
			t.Errorf("%q: the count is %q", c.words, out)
		}
	}
}
