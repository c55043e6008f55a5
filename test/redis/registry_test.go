package redistest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// deathTime is within which a node's death is known and its connections are taken over: 45 s
// from its last beat, one beat of the others, and their work.
const deathTime = time.Minute

// registryNode runs a node whose connections are in the registry, with presence.
func registryNode(t *testing.T, name, url string, trace stack.Trace, lines string) node {
	t.Helper()
	stack.Integration(t)
	return node{stack.Gateway(t, stack.GatewayOptions{
		Node: name, Drain: "1s", FPM: shared.fpm, FPMLines: "max_connections = 10\nmax_idle = 10",
		Redis: url, Limits: "messages_per_second = 0\nchannels = 0", Env: []string{"GORACE=atexit_sleep_ms=0"},
		Routes: fmt.Sprintf("[presence]\nchannels = [\"lobby\", \"room-*\"]\nusers = true\n%s\n\n[[route]]\npath = \"/ws\"\nscript = %q\nregistry = true\nparams = { TRACE = %q }\n",
			lines, filepath.Join(shared.dir, "who.php"), trace.File),
	})}
}

// membersOf are the counts of a name's presence in Redis.
func membersOf(t *testing.T, r *stack.RedisServer, name string) string {
	t.Helper()
	return r.Do(t, "hgetall", "ws:presence:"+name)
}

func waitMembers(t *testing.T, r *stack.RedisServer, name, want string) {
	t.Helper()
	stack.Wait(t, name+" to have "+want, func() bool { return membersOf(t, r, name) == want })
}

func TestPresenceIsReadWithPlainCommands(t *testing.T) {
	row(t, "8.presence", "8.presence-users", "8.presence-channels", "8.presence-member", "8.presence-connect", "8.presence-change",
		"8.user-left", "8.registry-record", "5.presence-channels", "5.presence-users", "5.registry")
	server := stack.Redis(t, stack.RedisOptions{})
	trace := stack.NewTrace(t)
	one, two := registryNode(t, "one", server.URL(), trace, ""), registryNode(t, "two", server.URL(), trace, "")
	a := one.dial(t, "WS-User: 42", "WS-Join: lobby, other")
	equal(t, "the lobby, with connect's answer", membersOf(t, server, "channel:lobby"), "map[user:42:1]")
	equal(t, "42's tabs", server.Do(t, "hlen", "ws:presence:user:42"), "1")
	equal(t, "a channel that is not counted", server.Do(t, "exists", "ws:presence:channel:other"), "0")
	b := two.dial(t, "WS-User: 42", "WS-Join: lobby")
	guest := two.dial(t, "WS-Join: lobby")
	equal(t, "42 in the lobby", server.Do(t, "hget", "ws:presence:channel:lobby", "user:42"), "2")
	equal(t, "the guest in the lobby", server.Do(t, "hexists", "ws:presence:channel:lobby", "conn:"+guest.id), "1")

	a.do("moves", "WS-Join: room-1", "WS-Leave: lobby")
	waitMembers(t, server, "channel:room-1", "map[user:42:1]")
	waitMembers(t, server, "channel:lobby", "map[conn:"+guest.id+":1 user:42:1]")
	guest.do("signs in", "WS-User: 7")
	waitMembers(t, server, "channel:lobby", "map[user:42:1 user:7:1]")
	record := server.Do(t, "hget", "ws:node:"+b.id[:len("two-xxxxxx")], b.id)
	if len(record) > 1400 || !strings.Contains(record, "channel:lobby") || !strings.Contains(record, `"user":"42"`) {
		t.Errorf("the record of b has %d bytes: %q", len(record), record)
	}

	a.Close(1000, "")
	equal(t, "WS_USER_LEFT of 42's first connection", trace.Await(t, "disconnect", 1)[0].Has("WS_USER_LEFT"), false)
	waitMembers(t, server, "channel:room-1", "map[]")
	b.Close(1000, "")
	equal(t, "WS_USER_LEFT of 42's last connection", trace.Await(t, "disconnect", 2)[1].Var("WS_USER_LEFT"), "1")
	waitMembers(t, server, "user:42", "map[]")
	equal(t, "connections in the registry of one", one.Metric(t, "wsfpm_registry_connections"), 0.0)
	one.Stop(t)
	equal(t, "nodes after the end of one", server.Do(t, "zcard", "ws:node:all"), "1")
}

func TestTheConnectionsOfAKilledNodeAreDisconnectedOnce(t *testing.T) {
	t.Parallel()
	row(t, "8.dead", "8.dead-event", "8.dead-once", "8.dead-presence")
	server := stack.Redis(t, stack.RedisOptions{})
	trace := stack.NewTrace(t)
	nodes := []node{registryNode(t, "one", server.URL(), trace, ""), registryNode(t, "two", server.URL(), trace, ""), registryNode(t, "three", server.URL(), trace, "")}
	ids := map[string]bool{}
	for i := range 30 {
		ids[nodes[0].dial(t, fmt.Sprint("WS-User: u", i%10), "WS-Join: lobby", "WS-State: s").id] = true
	}
	stays := nodes[1].dial(t, "WS-User: stays", "WS-Join: lobby")
	nodes[0].Kill()
	stack.WaitWithin(t, deathTime, "the disconnect events", func() bool { return len(trace.Of("disconnect")) >= len(ids) })
	waitMembers(t, server, "channel:lobby", "map[user:stays:1]")
	left := 0
	for _, e := range trace.Of("disconnect") {
		id := e.Var("WS_CONNECTION")
		if !ids[id] {
			t.Errorf("%s was disconnected twice, or is not the dead node's", id)
		}
		delete(ids, id)
		for name, want := range map[string]string{"WS_CLOSE_CODE": "1006", "WS_CLOSE_REASON": "node lost", "WS_NODE": id[:len("one-xxxxxx")],
			"WS_CHANNELS": "lobby", "WS_STATE": "s", "REMOTE_ADDR": "127.0.0.1", "WS_REQUEST_ID": id + ":lost"} {
			equal(t, name, e.Var(name), want)
		}
		if e.Has("WS_USER_LEFT") {
			left++
		}
	}
	equal(t, "users who left", left, 10)
	stack.Wait(t, "the dead node to be forgotten", func() bool { return server.Do(t, "zcard", "ws:node:all") == "2" })
	stays.do("goes on")
	equal(t, "disconnect events", len(trace.Of("disconnect")), 30)
}

func TestAPausedNodeSendsItsClientsAwayAndRunsNothingForThem(t *testing.T) {
	t.Parallel()
	row(t, "8.paused", "8.paused-name", "8.dead-once")
	server := stack.Redis(t, stack.RedisOptions{})
	trace := stack.NewTrace(t)
	one, two := registryNode(t, "one", server.URL(), trace, ""), registryNode(t, "two", server.URL(), trace, "")
	var clients []client
	for i := range 5 {
		clients = append(clients, one.dial(t, fmt.Sprint("WS-User: u", i), "WS-Join: lobby"))
	}
	old := clients[0].id[:len("one-xxxxxx")]
	if err := syscall.Kill(one.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(one.PID(), syscall.SIGCONT)
	stack.WaitWithin(t, deathTime, "the disconnect events", func() bool { return len(trace.Of("disconnect")) >= len(clients) })
	for _, c := range clients {
		c.say("too late")
	}
	if err := syscall.Kill(one.PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		c.ExpectClose(1012)
	}
	equal(t, "events of the clients after their disconnect event", len(trace.Of("message")), 0)
	again := one.dial(t, "WS-User: u0", "WS-Join: lobby")
	if strings.HasPrefix(again.id, old) {
		t.Errorf("the id %s begins as those of the node that was claimed", again.id)
	}
	equal(t, "the lobby", membersOf(t, server, "channel:lobby"), "map[user:u0:1]")
	equal(t, "claims", two.Metric(t, "wsfpm_registry_claims_total"), 1.0)
	equal(t, "disconnect events", len(trace.Of("disconnect")), len(clients))
}

func TestARedisThatIsEmptiedOrAwayLosesNoDisconnect(t *testing.T) {
	row(t, "8.forgot", "8.outage", "8.rare")
	server := stack.Redis(t, stack.RedisOptions{})
	trace := stack.NewTrace(t)
	one := registryNode(t, "one", server.URL(), trace, "")
	a, b, c := one.dial(t, "WS-User: a", "WS-Join: lobby"), one.dial(t, "WS-User: b", "WS-Join: lobby"), one.dial(t, "WS-User: c")
	server.Do(t, "flushall")
	waitMembers(t, server, "channel:lobby", "map[user:a:1 user:b:1]")

	server.Pause()
	a.say("goes on without Redis") // and notices that it is away
	a.Expect("goes on without Redis")
	b.Close(1000, "")
	trace.Await(t, "disconnect", 1)
	server.Resume()
	waitMembers(t, server, "channel:lobby", "map[user:a:1]")

	server.Kill()
	c.Close(1000, "")
	trace.Await(t, "disconnect", 2)
	server.Start(t)
	waitMembers(t, server, "channel:lobby", "map[user:a:1]")
	equal(t, "disconnect events", len(trace.Of("disconnect")), 2)
}

func TestAPlainReplyMakesNoRedisCommand(t *testing.T) {
	row(t, "8.plain")
	server := stack.Redis(t, stack.RedisOptions{})
	one := registryNode(t, "one", server.URL(), stack.NewTrace(t), "")
	a := one.dial(t, "WS-User: a", "WS-Join: lobby")
	scripts := func() string {
		total := ""
		for line := range strings.Lines(server.Do(t, "info", "commandstats")) {
			name, rest, _ := strings.Cut(line, ":")
			calls, _, _ := strings.Cut(strings.TrimPrefix(rest, "calls="), ",")
			switch name {
			case "cmdstat_hset", "cmdstat_hincrby", "cmdstat_hdel", "cmdstat_publish", "cmdstat_subscribe", "cmdstat_xadd":
				total += name + "=" + calls + " "
			}
		}
		return total
	}
	settled := scripts() // the beats have other commands
	before := server.Do(t, "hget", "ws:node:"+a.id[:len("one-xxxxxx")], a.id)
	for i := range 200 {
		a.do(fmt.Sprint("reply ", i))
	}
	if now := scripts(); now != settled {
		t.Errorf("commands of 200 replies: %s, before them %s", now, settled)
	}
	equal(t, "the record", server.Do(t, "hget", "ws:node:"+a.id[:len("one-xxxxxx")], a.id), before)
}

func TestWhatADrainCannotFinishOtherNodesRun(t *testing.T) {
	t.Parallel()
	row(t, "8.drain")
	server := stack.Redis(t, stack.RedisOptions{})
	trace := stack.NewTrace(t)
	fpm := stack.FPM(t, stack.FPMOptions{Children: 4})
	start := func(name string) node {
		return node{stack.Gateway(t, stack.GatewayOptions{
			Node: name, Drain: "1s", FPM: fpm, FPMLines: "max_connections = 2\nqueue_wait = \"1s\"", Redis: server.URL(),
			Routes: fmt.Sprintf("[[route]]\npath = \"/ws\"\nscript = %q\nregistry = true\nparams = { TRACE = %q }\n", filepath.Join(shared.dir, "who.php"), trace.File),
		})}
	}
	one, two := start("one"), start("two")
	a, b := one.dial(t, "WS-User: a"), one.dial(t, "WS-User: b")
	a.Close(1000, "")
	trace.Await(t, "disconnect", 1)
	fpm.Stop()
	equal(t, "exit status of a drain without PHP-FPM", one.Stop(t) == 0, false)
	b.NextOrEnd()
	fpm.Start(t)
	stack.WaitWithin(t, deathTime, "the other node to run the event", func() bool { return len(trace.Of("disconnect")) == 2 })
	equal(t, "whose it is", trace.Of("disconnect")[1].Var("WS_CONNECTION"), b.id)
	equal(t, "claims", two.Metric(t, "wsfpm_registry_claims_total"), 1.0)
}

func TestARedisThatEvictsKeysIsReported(t *testing.T) {
	row(t, "8.evicts")
	server := stack.Redis(t, stack.RedisOptions{Args: []string{"--maxmemory-policy", "allkeys-lru"}})
	one := registryNode(t, "one", server.URL(), stack.NewTrace(t), "")
	one.AwaitLog(t, "error", "evict", "allkeys-lru")
	equal(t, "wsfpm_registry_evicts", one.Metric(t, "wsfpm_registry_evicts"), 1.0)
	check := func() (string, error) {
		out, err := exec.Command(stack.Binary(t), "check", "--dial", "--config", one.Config).CombinedOutput()
		return string(out), err
	}
	if out, err := check(); err == nil || !strings.Contains(out, "maxmemory-policy is allkeys-lru") {
		t.Errorf("check answers %v: %s", err, out)
	}
	server.Do(t, "config", "set", "maxmemory-policy", "noeviction")
	if out, err := check(); err != nil {
		t.Errorf("check answers %v: %s", err, out)
	}
}
