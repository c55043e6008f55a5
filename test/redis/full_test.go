package redistest

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// keepingNode runs a node whose route has all that is kept: the log, the registry with
// presence, message ids. Lines are further tables.
func keepingNode(t *testing.T, name, url string, trace stack.Trace, lines string) node {
	t.Helper()
	return node{stack.Gateway(t, stack.GatewayOptions{
		Node: name, Drain: "100ms", FPM: shared.fpm, FPMLines: "max_connections = 10", Redis: url, Env: []string{"GORACE=atexit_sleep_ms=0"},
		Routes: fmt.Sprintf("%s\n[presence]\nchannels = [\"lobby\"]\n\n[[route]]\npath = \"/ws\"\nscript = %q\nresume = true\nonce = \"1m\"\nregistry = true\nparams = { TRACE = %q }\n",
			lines, filepath.Join(shared.dir, "who.php"), trace.File),
	})}
}

// wrapped connects a client of wsfpm.v1 that comes back from a position, "" for none.
func (n node) wrapped(t *testing.T, resume, last string, headers ...string) *stack.Client {
	t.Helper()
	query := url.Values{"h[]": headers}
	if last != "" {
		query.Set("ws_last", last)
	}
	c := stack.Dial(t, n.URL+"/ws?"+query.Encode(), stack.DialOptions{Protocols: []string{"wsfpm.v1"}})
	if hello := string(c.Next().Data); !strings.Contains(hello, `"resume":"`+resume+`"`) {
		t.Fatalf("got %s, want %s", hello, resume)
	}
	return c
}

// A Redis whose memory is full, and that evicts nothing, refuses what has to be stored.
func TestAFullRedisRefusesWhatIsToBeStored(t *testing.T) {
	row(t, "3.log-full", "3.log-failed", "9.redis-down", "9.busy")
	refusesToStore(t, "OOM", []any{"maxmemory-policy", "noeviction", "maxmemory", "1"}, []any{"maxmemory", "0"})
}

// With min-replicas-to-write a master that has lost its replicas refuses likewise, as one
// that does not know yet of a failover: no message id is kept in two masters.
func TestAMasterWithoutReplicasRefusesWhatIsToBeStored(t *testing.T) {
	row(t, "9.two-masters", "3.log-failed", "9.redis-down", "9.busy")
	refusesToStore(t, "NOREPLICAS", []any{"min-replicas-to-write", "1"}, []any{"min-replicas-to-write", "0"})
}

// refusesToStore wants pushes that are not stored, and what connected clients and PHP say,
// to go on while Redis, with these settings, answers an error to a write.
func refusesToStore(t *testing.T, code string, refuse, accept []any) {
	t.Helper()
	server := stack.Redis(t, stack.RedisOptions{})
	trace := stack.NewTrace(t)
	one := keepingNode(t, "one", server.URL(), trace, "")
	c := one.wrapped(t, "new", "", "WS-User: a", "WS-Join: lobby")
	c.Next() // connect's body
	ask := func(id, body, want string, headers ...string) {
		t.Helper()
		c.Send(fmt.Sprintf(`{"id":%q,"data":%q}`, id, strings.Join(headers, "\n")+"\n\n"+body))
		c.Expect(want)
	}
	ask("k1", "runs", `{"re":"k1","data":"runs"}`)
	set := []any{"config", "set"}
	server.Do(t, append(set, refuse...)...)

	err := server.Client(t).Do(context.Background(), "xadd", "ws:log", "*", "to", "user:a", "data", "x").Err()
	if err == nil || !strings.HasPrefix(err.Error(), code+" ") {
		t.Errorf("XADD answers %v, want %s", err, code)
	}
	if status, body := one.Push(t, `{"to":"user:a","data":"x","durable":true}`); status != 503 {
		t.Errorf("a durable push: got %d %s, want 503", status, body)
	}
	ask("k2", "runs", `{"re":"k2","error":"busy"}`)
	ask("k1", "runs", `{"re":"k1","error":"busy"}`)
	c.Send(`{"data":"WS-Publish: user:a\n\nstored"}`)
	line := one.AwaitLog(t, "warn", "it is not stored")
	if !strings.Contains(fmt.Sprint(line), code) {
		t.Errorf("the log does not name the cause: %v", line)
	}
	c.Send(`{"data":"\n\nreply"}`)
	c.Expect(`{"data":"reply"}`)
	equal(t, "nodes that hear a push", server.Publish(t, "ws:user:a", "fast"), 1)
	c.Expect(`{"data":"fast"}`)
	late := one.dial(t, "WS-User: late", "WS-Join: lobby")
	late.Close(1000, "")
	trace.Await(t, "disconnect", 1)
	equal(t, "/ready", one.Ready(), true)
	stack.Wait(t, "the registry to be down", func() bool { return one.Metric(t, "wsfpm_registry_up") == 0 })

	server.Do(t, append(set, accept...)...)
	ask("k1", "runs", `{"re":"k1","data":"runs"}`)
	ask("k2", "runs", `{"re":"k2","data":"runs"}`)
	stack.Wait(t, "the registry to be up", func() bool { return one.Metric(t, "wsfpm_registry_up") == 1 })
	waitMembers(t, server, "channel:lobby", "map[user:a:1]")
	server.Do(t, "xadd", "ws:log", "*", "to", "user:a", "data", "stored again")
	if text := string(c.Next().Data); !strings.Contains(text, `"data":"stored again"`) {
		t.Errorf("got %s", text)
	}
	equal(t, "disconnect events", len(trace.Of("disconnect")), 1)
	equal(t, "gaps of the log", one.Metric(t, "wsfpm_log_gaps_total"), 0)
}
