package deploy

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"wsfpm/test/fcgitest"
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
			w.Stdout("WS-Publish: channel:room" + map[bool]string{true: "; durable"}[string(r.Body) == "stored"] + "\r\n\r\n" + string(r.Body))
		default:
			w.Stdout("Content-Type: text/plain\r\n\r\n")
		}
	})
	args := documentedUser(t, "s3cret", "+psubscribe", "&pub.*")
	args = append(args, "--user", "app", "on", ">app", "resetchannels", "&ws:*", "&pub.*", "-@all", "+publish", "~ws:log", "+xadd", "+multi", "+exec")
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
	c.Send("stored")
	c.Expect("stored")
	app := redis.NewClient(&redis.Options{Addr: server.Addr, Username: "app", Password: "app"})
	defer app.Close()
	if _, err := app.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		return p.XAdd(t.Context(), &redis.XAddArgs{Stream: "ws:log", Values: []string{"to", "user:42", "data", "stored by another"}}).Err()
	}); err != nil {
		t.Fatal(err)
	}
	c.Expect("stored by another")
	if failed := g.Metric(t, "wsfpm_publish_failed_total"); failed != 0 {
		t.Errorf("%v pushes failed", failed)
	}
	if text := g.LogText(); strings.Contains(text, "NOPERM") {
		t.Error("Redis refused something (NOPERM)")
	}
	if lines := g.LogLines("warn", "durable"); len(lines) > 0 {
		t.Errorf("the log warns: %v", lines)
	}
}

// TestDocumentedRightsForMessagesThatRunOnce runs messages with the rights of docs/deploy.md,
// and with one less.
func TestDocumentedRightsForMessagesThatRunOnce(t *testing.T) {
	stack.Integration(t)
	page := read(t, "docs/deploy.md")
	row := regexp.MustCompile("(?m)^\\| messages that run once .*?\\| `([^`]*)`").FindStringSubmatch(page)
	beats := regexp.MustCompile("(?m)^\\| .*beats for `once` \\| `([^`]*)`").FindStringSubmatch(page)
	if row == nil || beats == nil {
		t.Fatal("docs/deploy.md has no rights for once")
	}
	rights := append(strings.Fields(row[1]), "+select")
	others := slices.DeleteFunc(strings.Fields(beats[1]), func(right string) bool { return slices.Contains(rights, right) })
	for _, missing := range append([]string{""}, rights...) {
		given := slices.DeleteFunc(slices.Clone(rights), func(right string) bool { return right == missing })
		t.Run("without "+missing, func(t *testing.T) { runsOnce(t, append(given, others...), missing) })
	}
}

// runsOnce runs messages as a user of Redis that may lack one of the rights.
func runsOnce(t *testing.T, given []string, missing string) {
	paying, finish := make(chan struct{}, 9), make(chan struct{})
	fpm := scripted(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		switch {
		case r.Params["WS_EVENT"] == "connect":
			w.Stdout("WS-User: 42\r\n\r\n")
		case string(r.Body) == "refuse":
			w.Stdout("Status: 422\r\n\r\n")
		default:
			paying <- struct{}{}
			<-finish
			w.Stdout("Content-Type: text/plain\r\n\r\nattempt " + r.Params["WS_ATTEMPT"])
		}
	})
	server := stack.Redis(t, stack.RedisOptions{Args: documentedUser(t, "s3cret", given...)})
	dial := func() (*stack.GatewayServer, *stack.Client) {
		g := stack.Gateway(t, stack.GatewayOptions{FPM: fpm, Redis: "redis://wsfpm:s3cret@" + server.Addr + "/1",
			Routes: "[[route]]\npath = \"/ws\"\nscript = \"/srv/ws.php\"\nonce = \"10s\"\ntimeout = \"5s\"\n"})
		c := stack.Dial(t, g.URL+"/ws", stack.DialOptions{Protocols: []string{"wsfpm.v1"}})
		c.Next() // the hello
		return g, c
	}
	a, c := dial()
	b, d := dial()
	want := func(c *stack.Client, reply string) {
		if got := string(c.Next().Data); missing == "" && got != reply {
			t.Errorf("got %s, want %s", got, reply)
		}
	}
	c.Send(`{"id":"k8","data":"refuse"}`)
	want(c, `{"re":"k8","error":"failed"}`)
	c.Send(`{"id":"k7","data":"pay"}`)
	stack.Wait(t, "PHP, or a refusal", func() bool { return len(paying) > 0 || refused(a, b) })
	d.Send(`{"id":"k7","data":"pay"}`) // waits for the other one
	stack.Wait(t, "a wait, or a refusal", func() bool { return commands(t, server, "pttl") > 0 || refused(a, b) })
	close(finish)
	want(c, `{"re":"k7","data":"attempt 1"}`)
	want(d, `{"re":"k7","data":"attempt 1"}`)
	stack.Wait(t, "the log", func() bool { return refused(a, b) == (missing != "") })
}

// refused reports whether the log of a node names a right to these messages that its user lacks.
func refused(nodes ...*stack.GatewayServer) bool {
	return slices.ContainsFunc(nodes, func(g *stack.GatewayServer) bool {
		return slices.ContainsFunc(strings.Split(g.LogText(), "\n"), func(line string) bool {
			return strings.Contains(line, "did not run") && strings.Contains(line, "NOPERM") ||
				strings.Contains(line, "outcome") && (strings.Contains(line, "NOPERM") || strings.Contains(line, "can't run this command"))
		})
	})
}

// commands is how often Redis has carried out a command.
func commands(t *testing.T, server *stack.RedisServer, name string) int {
	t.Helper()
	info := server.Do(t, "info", "commandstats")
	calls := regexp.MustCompile("cmdstat_" + name + `:calls=(\d+)`).FindStringSubmatch(info)
	if calls == nil {
		return 0
	}
	n, _ := strconv.Atoi(calls[1])
	return n
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
