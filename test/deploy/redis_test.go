package deploy

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"wsfpm/fcgi/fcgitest"
	"wsfpm/test/stack"
)

// scripted is an application server whose answers are a function.
func scripted(t *testing.T, handler fcgitest.Handler) *stack.FPMServer {
	t.Helper()
	server := fcgitest.NewServer(handler, fcgitest.Options{Workers: 4})
	t.Cleanup(server.Close)
	return &stack.FPMServer{Address: server.Network + ":" + server.Address}
}

// documentedUser is a line of docs/deploy.md as redis-server's arguments.
func documentedUser(t *testing.T, password string, more ...string) []string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^user (wsfpm on .*)$`).FindStringSubmatch(read(t, "docs/deploy.md"))
	if line == nil {
		t.Fatal("docs/deploy.md has no user for Redis")
	}
	words := strings.Fields(strings.Replace(line[1], "PASSWORD", password, 1))
	return append(append([]string{"--user"}, words...), more...)
}

// TestDocumentedRedisUserIsEnough runs every door between Redis and wsfpm with
// the rights that docs/deploy.md gives.
func TestDocumentedRedisUserIsEnough(t *testing.T) {
	stack.Integration(t)
	fpm := scripted(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		switch r.Params["WS_EVENT"] {
		case "connect":
			w.Stdout("WS-User: 42\r\nWS-Join: room\r\n\r\n")
		case "message":
			w.Stdout("WS-Publish: channel:room\r\n\r\n" + string(r.Body))
		default:
			w.Stdout("Content-Type: text/plain\r\n\r\n")
		}
	})
	args := documentedUser(t, "s3cret", "+psubscribe", "&pub.*")
	args = append(args, "--user", "app", "on", ">app", "resetchannels", "&ws:*", "&pub.*", "-@all", "+publish")
	server := stack.Redis(t, stack.RedisOptions{Args: args})
	g := stack.Gateway(t, stack.GatewayOptions{
		FPM: fpm, Redis: "redis://wsfpm:s3cret@" + server.Addr + "/0",
		RedisTOML: "[[redis.relay]]\npattern = \"pub.*\"\nto = \"channel:{name}\"",
		Routes:    "[[route]]\npath = \"/ws\"\nscript = \"/srv/ws.php\"\n",
	})
	c := stack.Dial(t, g.URL+"/ws", stack.DialOptions{})
	publish := publisher(t, server.Addr)
	for _, push := range []struct{ channel, payload, want string }{
		{"ws:user:42", "by name", "by name"},
		{"ws:all", "to all", "to all"},
		{"ws:command", `{"to":"channel:room","data":"by command"}`, "by command"},
		{"pub.room", "by relay", "by relay"},
	} {
		publish(push.channel, push.payload)
		c.Expect(push.want)
	}
	c.Send("by a script")
	c.Expect("by a script")
	if failed := g.Metric(t, "wsfpm_publish_failed_total"); failed != 0 {
		t.Errorf("%v pushes failed", failed)
	}
	if text := g.LogText(); strings.Contains(text, "NOPERM") {
		t.Error("Redis refused something (NOPERM)")
	}
}

// publisher publishes as the application's user of docs/deploy.md.
func publisher(t *testing.T, addr string) func(channel, payload string) {
	client := redis.NewClient(&redis.Options{Addr: addr, Username: "app", Password: "app"})
	t.Cleanup(func() { client.Close() })
	return func(channel, payload string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), stack.Patience)
		defer cancel()
		if n, err := client.Publish(ctx, channel, payload).Result(); err != nil || n != 1 {
			t.Fatal(fmt.Errorf("publish to %s: %d heard it, %w", channel, n, err))
		}
	}
}

// passwordPublisher publishes on a Redis with one password for all.
func passwordPublisher(t *testing.T, addr, password string) func(channel, payload string) {
	client := redis.NewClient(&redis.Options{Addr: addr, Password: password})
	t.Cleanup(func() { client.Close() })
	return func(channel, payload string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), stack.Patience)
		defer cancel()
		if err := client.Publish(ctx, channel, payload).Err(); err != nil {
			t.Fatal(err)
		}
	}
}
