package redistest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"wsfpm/test/stack"
)

// stored are two nodes with all that wsfpm keeps in Redis: the log, the registry with
// presence, and message ids.
type stored struct {
	t      *testing.T
	keys   redis.UniversalClient
	prefix string
	nodes  [2]node
	trace  stack.Trace
}

func startStored(t *testing.T, url, prefix string, keys redis.UniversalClient) *stored {
	t.Helper()
	t.Cleanup(func() { keys.Close() })
	s := &stored{t: t, keys: keys, prefix: prefix, trace: stack.NewTrace(t)}
	for i, name := range []string{"one", "two"} {
		s.nodes[i] = node{stack.Gateway(t, stack.GatewayOptions{
			Node: name, Drain: "1s", FPM: shared.fpm, FPMLines: "max_connections = 10\nmax_idle = 10",
			Redis: url, RedisTOML: fmt.Sprintf("prefix = %q", prefix), Limits: "messages_per_second = 0", Env: []string{"GORACE=atexit_sleep_ms=0"},
			Routes: fmt.Sprintf("[presence]\nchannels = [\"lobby\"]\nusers = true\n\n[[route]]\npath = \"/ws\"\nscript = %q\nregistry = true\nresume = true\nonce = \"2m\"\nparams = { TRACE = %q }\n",
				filepath.Join(shared.dir, "who.php"), s.trace.File),
		})}
	}
	return s
}

// ask runs a command on the key with that name, in whichever server it is.
func (s *stored) ask(command, key string, args ...any) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), stack.Patience)
	defer cancel()
	answer, err := s.keys.Do(ctx, append([]any{command, s.prefix + key}, args...)...).Result()
	return fmt.Sprint(answer), err
}

// waitFor waits for the answer to a command.
func (s *stored) waitFor(want, command, key string, args ...any) {
	s.t.Helper()
	var got string
	var err error
	if !stack.Poll(stack.Patience, 10*time.Millisecond, func() bool { got, err = s.ask(command, key, args...); return err == nil && got == want }) {
		s.t.Fatalf("%s %s %v: got %s, %v, want %s", command, key, args, got, err, want)
	}
}

// home is the address of the server of a Cluster that has the keys.
func (s *stored) home() string {
	s.t.Helper()
	c, err := s.keys.(*redis.ClusterClient).MasterForKey(s.t.Context(), s.prefix+"log")
	if err != nil {
		s.t.Fatal(err)
	}
	return c.Options().Addr
}

// append stores a message in the log, as a site does.
func (s *stored) append(to, data string) {
	s.t.Helper()
	if _, err := s.ask("XADD", "log", "*", "to", to, "data", data); err != nil {
		s.t.Fatalf("append to the log: %v", err)
	}
}

// envelope is a message of wsfpm.v1.
type envelope struct {
	ID, Re, Data string
	Gap          bool
	Hello        *struct{ Conn, Resume string }
}

// wrapped is a client of wsfpm.v1.
type wrapped struct {
	*stack.Client
	t    *testing.T
	last string // the newest position that it was told
}

// dial connects user 42, in the lobby, to a node.
func (s *stored) dial(node int, last, resume string) *wrapped {
	s.t.Helper()
	query := url.Values{"h[]": {"WS-User: 42", "WS-Join: lobby"}, "body": {"state"}}
	if last != "" {
		query.Set("ws_last", last)
	}
	if resume == "ok" {
		query.Set("body", "")
	}
	c := &wrapped{t: s.t, Client: stack.Dial(s.t, s.nodes[node].URL+"/ws?"+query.Encode(), stack.DialOptions{Protocols: []string{"wsfpm.v1"}})}
	if first := c.next(); first.Hello == nil || first.Hello.Resume != resume {
		s.t.Fatalf("got %+v, want a hello with resume %s", first, resume)
	}
	if resume != "ok" {
		c.expect("state")
	}
	return c
}

// next reads the next message, signs of life aside.
func (c *wrapped) next() envelope {
	c.t.Helper()
	for {
		var e envelope
		if text := c.Next().Data; json.Unmarshal(text, &e) != nil {
			c.t.Fatalf("got %.200q", text)
		}
		if e.ID != "" {
			c.last = e.ID
		}
		if sign := (envelope{ID: e.ID}); e != sign {
			return e
		}
	}
}

func (c *wrapped) expect(data string) {
	c.t.Helper()
	if e := c.next(); e.Data != data || e.Gap {
		c.t.Fatalf("got %+v, want %s", e, data)
	}
}

// once sends a message with an id.
func (c *wrapped) once(id, data string) {
	c.t.Helper()
	c.Send(fmt.Sprintf(`{"id":%q,"data":%q}`, id, "\n\n"+data))
	if e := c.next(); e.Re != id || e.Data != data {
		c.t.Fatalf("got %+v, want the reply %s to %s", e, data, id)
	}
}

// work uses everything, on both nodes, and leaves a client on the first, with the position
// that it has. The name is new each time.
func (s *stored) work(name string) *wrapped {
	s.t.Helper()
	a, b := s.dial(0, "", "new"), s.dial(1, "", "new")
	s.waitFor("2", "HGET", "presence:channel:lobby", "user:42")
	s.waitFor("2", "HLEN", "presence:user:42")

	before := len(s.trace.Of("message"))
	id := strings.ReplaceAll(name, " ", "-")
	a.once(id, "paid")
	b.once(id, "paid")
	equal(s.t, "messages that reached PHP", len(s.trace.Of("message"))-before, 1)

	s.append("channel:lobby", "live "+name)
	a.expect("live " + name)
	b.expect("live " + name)
	b.Cut()
	s.waitFor("1", "HLEN", "presence:user:42")
	s.append("user:42", "missed "+name)
	b = s.dial(0, b.last, "ok")
	b.expect("missed " + name)
	a.expect("missed " + name)
	b.Cut()
	s.waitFor("1", "HGET", "presence:channel:lobby", "user:42")
	return a
}

// survive breaks the server that has the keys. The client is told of a gap, and everything
// works again with what is left.
func (s *stored) survive(name string, fault func()) {
	s.t.Helper()
	a := s.work("before " + name)
	const gaps = "wsfpm_log_gaps_total"
	before := [2]float64{s.nodes[0].Metric(s.t, gaps), s.nodes[1].Metric(s.t, gaps)}
	fault()
	if e := a.next(); !e.Gap {
		s.t.Errorf("got %+v, want a gap", e)
	}
	for i, n := range s.nodes { // a node that has not noticed yet is green, and its next clients get that gap
		stack.WaitWithin(s.t, failover, "the node to see the gap", func() bool { return n.Metric(s.t, gaps) > before[i] })
	}
	ready(s.t, s.nodes[:], true, failover)
	s.waitFor("1", "HGET", "presence:channel:lobby", "user:42") // written again if it was lost
	former := a.last
	a.Cut()
	s.waitFor("0", "HLEN", "presence:user:42")
	s.dial(1, former, "gap").Cut()
	s.waitFor("0", "HLEN", "presence:user:42")
	s.work("after " + name).Cut()
	s.waitFor("0", "HLEN", "presence:user:42")
}

// loseNode kills a node: the other one runs the disconnect event of its client.
func (s *stored) loseNode() {
	s.t.Helper()
	s.dial(0, "", "new")
	ended := len(s.trace.Of("disconnect"))
	s.nodes[0].Kill()
	stack.WaitWithin(s.t, deathTime, "the disconnect event of the killed node's client", func() bool { return len(s.trace.Of("disconnect")) > ended })
	equal(s.t, "why", s.trace.Of("disconnect")[ended].Var("WS_CLOSE_REASON"), "node lost")
	s.waitFor("0", "HLEN", "presence:channel:lobby")
}

// documented runs a line of PHP that docs/durable.md has, after and before others.
func (s *stored) documented(before, line, after string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "durable.md"))
	if err != nil || !strings.Contains(string(text), line) {
		s.t.Fatalf("docs/durable.md has no %s (%v)", line, err)
	}
	out, err := exec.Command("php", "-r", before+line+after).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v: %s", line, err, out)
	}
	return string(out)
}

// checked wants wsfpm check --dial to find nothing wrong.
func (s *stored) checked() {
	s.t.Helper()
	if out, code := stack.Command(s.t, "check", "--dial", "--config", s.nodes[0].Config); code != 0 || strings.Contains(out, "durable.") {
		s.t.Errorf("check --dial: exit code %d: %s", code, out)
	}
}

func TestASentinelsFailoverOfWhatIsStored(t *testing.T) {
	t.Parallel()
	row(t, "5.redis-url", "3.log-gap", "8.forgot")
	g := startGroup(t)
	host, port, _ := strings.Cut(g.sentinels[0].Addr, ":")
	s := startStored(t, g.url, "ws:", redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "main", SentinelAddrs: g.addresses()}))
	s.checked()
	master := s.documented(fmt.Sprintf("$sentinel = new RedisSentinel(%q, %s);", host, port),
		"[$host, $port] = $sentinel->getMasterAddrByName('main');", "echo \"$host:$port\";")
	equal(t, "the master that PHP finds", master, g.master.Addr)
	s.survive("the death of the master", g.master.Kill)
	s.loseNode()
}

func TestASentinelsFailoverByHandOfWhatIsStored(t *testing.T) {
	t.Parallel()
	row(t, "5.redis-url", "3.log-gap")
	g := startGroup(t)
	s := startStored(t, g.url, "ws:", redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "main", SentinelAddrs: g.addresses()}))
	s.survive("a failover by hand", func() {
		g.failover(t)
		began := time.Now()
		for _, n := range s.nodes {
			stack.WaitWithin(t, resumed, "the node to see another history", func() bool { return n.Metric(t, "wsfpm_log_gaps_total", `reason="history"`) > 0 })
		}
		t.Logf("both nodes read the new master's log after %v", time.Since(began))
	})
}

func TestAClustersFailoverOfWhatIsStored(t *testing.T) {
	t.Parallel()
	row(t, "5.redis-url", "5.prefix-slot", "3.log-gap", "8.forgot")
	servers := startCluster(t)
	keys := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{servers[0].Addr, servers[1].Addr}, ClusterStateReloadInterval: time.Second})
	s := startStored(t, "redis://"+servers[0].Addr+","+servers[1].Addr+"/?cluster=true", "{ws}:", keys)
	s.checked()
	connect := fmt.Sprintf("$cluster = new RedisCluster(null, [%q]); $json = 'x';", servers[0].Addr)
	a := s.dial(0, "", "new")
	s.documented(connect, "$cluster->rawCommand('{ws}:log', 'XADD', '{ws}:log', '*', 'to', 'user:42', 'data', $json);", "")
	a.expect("x")
	members := s.documented(connect+"echo ", "$cluster->hKeys('{ws}:presence:channel:lobby')", "[0];")
	equal(t, "who is there, according to PHP", members, "user:42")
	a.Cut()

	home := slices.IndexFunc(servers[:], func(each *stack.RedisServer) bool { return each.Addr == s.home() })
	next := (home + 1) % len(servers)
	s.survive("the move of the slot", func() { moveSlot(t, servers[home], servers[next], s.prefix+"log") })
	startClusterReplica(t, servers[next])
	s.survive("the death of a master", servers[next].Kill)
	s.loseNode()
}

// moveSlot moves the slot of a key, with all of its keys, to another server of the Cluster.
func moveSlot(t *testing.T, from, to *stack.RedisServer, key string) {
	t.Helper()
	slot, source, target := from.Do(t, "CLUSTER", "KEYSLOT", key), from.Do(t, "CLUSTER", "MYID"), to.Do(t, "CLUSTER", "MYID")
	to.Do(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", source)
	from.Do(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", target)
	host, port, _ := strings.Cut(to.Addr, ":")
	for from.Do(t, "CLUSTER", "COUNTKEYSINSLOT", slot) != "0" {
		key := strings.Trim(from.Do(t, "CLUSTER", "GETKEYSINSLOT", slot, 1), "[]")
		from.Do(t, "MIGRATE", host, port, key, 0, 5000)
	}
	for _, s := range []*stack.RedisServer{to, from} {
		s.Do(t, "CLUSTER", "SETSLOT", slot, "NODE", target)
	}
}
