package companions

import (
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
