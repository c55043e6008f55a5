package redistest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// failover is how long a Cluster or a Sentinel may take to find itself again,
// and the nodes of wsfpm with it.
const failover = 20 * time.Second

func TestTwoEnvironmentsHearNothingOfEachOther(t *testing.T) {
	row(t, "3.prefix")
	server := stack.Redis(t, stack.RedisOptions{})
	live := startPair(t, server, server.URL(), `prefix = "live:"`)
	test := startPair(t, server, server.URL(), `prefix = "test:"`)
	for _, p := range []pair{live, test} {
		p.a.say("to all of this environment", "WS-Publish: channel:hall, all, user:b")
		p.expect("to all of this environment")
	}
	equal(t, "nodes at live:all", server.Publish(t, "live:all", "of live"), 2)
	equal(t, "nodes at test:command", server.Publish(t, "test:command", `{"to":"all","data":"of test"}`), 2)
	live.expect("of live")
	test.expect("of test")
	server.Publish(t, "ws:all", "of no node")
	for name, p := range map[string]pair{"live": live, "test": test} {
		server.Publish(t, name+":all", "fence of "+name)
		p.expect("fence of " + name)
	}
}

// everyWay pushes by PHP's answer on either node and by wsfpm push.
func (p pair) everyWay(t *testing.T, url string) {
	t.Helper()
	for _, c := range []client{p.a, p.b} {
		c.say("by header", "WS-Publish: channel:hall")
		p.expect("by header")
		c.say(`{"to":["channel:hall","user:a"],"data":"by command"}`, commandType)
		p.expect("by command")
	}
	out, code := stack.Command(t, "push", "--redis", url, "channel:hall", "by hand")
	if code != 0 {
		t.Errorf("wsfpm push: exit code %d, %s", code, out)
	}
	p.expect("by hand")
}

// survive breaks the Redis under the pair and mends it, and wants every push to
// arrive again when /ready is green.
func (p pair) survive(t *testing.T, url string, fault, mend func()) {
	t.Helper()
	p.everyWay(t, url)
	fault()
	ready(t, p.nodes[:], false, failover)
	p.a.do("still here")
	p.b.do("still here")
	mend()
	ready(t, p.nodes[:], true, failover)
	p.everyWay(t, url)
}

// startCluster makes a Redis Cluster of three masters.
func startCluster(t *testing.T) (servers [3]*stack.RedisServer) {
	t.Helper()
	return startClusterOf(t, nil, [3]*stack.RedisTLS{})
}

// startClusterOf is startCluster with TLS, and the flags that redis-cli needs for it.
func startClusterOf(t *testing.T, flags []string, secure [3]*stack.RedisTLS) (servers [3]*stack.RedisServer) {
	t.Helper()
	args := append(slices.Clone(flags), "--cluster", "create")
	for i := range servers {
		bus := fmt.Sprint(stack.FreePort(t))
		settings := []string{"--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000"}
		if secure[i] != nil {
			settings = append(settings, "--tls-cluster", "yes")
		}
		servers[i] = stack.Redis(t, stack.RedisOptions{TLS: secure[i], Args: settings})
		args = append(args, servers[i].Addr+"@"+bus)
	}
	redisCLI(t, servers[0].Addr, append(args, "--cluster-yes")...)
	for _, s := range servers {
		stack.Wait(t, "the cluster", func() bool { return strings.Contains(s.Do(t, "CLUSTER", "INFO"), "cluster_state:ok") })
	}
	return servers
}

// startClusterReplica adds a replica of one of a Cluster's masters.
func startClusterReplica(t *testing.T, master *stack.RedisServer) {
	t.Helper()
	bus := fmt.Sprint(stack.FreePort(t))
	replica := stack.Redis(t, stack.RedisOptions{Args: []string{"--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000"}})
	host, port, _ := strings.Cut(replica.Addr, ":")
	master.Do(t, "CLUSTER", "MEET", host, port, bus)
	id := master.Do(t, "CLUSTER", "MYID")
	stack.Wait(t, "the replica to know the master", func() bool { return strings.Contains(replica.Do(t, "CLUSTER", "NODES"), id) })
	replica.Do(t, "CLUSTER", "REPLICATE", id)
	stack.Wait(t, "the replica to have the data", func() bool {
		return strings.Contains(replica.Do(t, "INFO", "replication"), "master_link_status:up")
	})
}

// Slow: the Cluster takes seconds to see that a node is back.
func TestACluster(t *testing.T) {
	row(t, "5.redis-url")
	servers := startCluster(t)
	url := "redis://" + servers[0].Addr + "," + servers[1].Addr + "/?cluster=true"
	p := startPair(t, servers[0], url, "")
	home := 0
	for i, s := range servers { // a publisher may ask any node
		s.Publish(t, "ws:all", fmt.Sprint("by server ", i))
		p.expect(fmt.Sprint("by server ", i))
		if s.Subscribers(t, "ws:all") == 2 {
			home = i
		}
	}
	equal(t, "nodes at the server that was asked", servers[home].Publish(t, "ws:user:a", "counted"), 1)
	p.a.Expect("counted")

	// The name that all nodes agree to meet at moves to another server.
	next := (home + 1) % len(servers)
	slot, id := servers[home].Do(t, "CLUSTER", "KEYSLOT", "ws:all"), servers[next].Do(t, "CLUSTER", "MYID")
	for _, i := range []int{next, home} {
		servers[i].Do(t, "CLUSTER", "SETSLOT", slot, "NODE", id)
	}
	stack.WaitWithin(t, failover, "all nodes at the next server", func() bool { return servers[next].Subscribers(t, "ws:all") == 2 })
	ready(t, p.nodes[:], true, resumed)

	p.survive(t, url, servers[next].Kill, func() { servers[next].Start(t) })
}

// Slow: a Sentinel waits before it makes a replica the master.
func TestASentinelsFailover(t *testing.T) {
	row(t, "5.redis-url")
	g := startGroup(t)
	p := startPair(t, g.master, g.url, "")
	p.survive(t, g.url, g.master.Kill, func() {}) // the Sentinel mends it
	equal(t, "nodes at the new master", g.replica.Publish(t, "ws:all", "of the new master"), 2)
	p.expect("of the new master")
}

func TestASentinelsFailoverByHand(t *testing.T) {
	row(t, "2.promise-join", "5.redis-url")
	g := startGroup(t)
	p := startPair(t, g.master, g.url, "")
	g.failover(t)
	began := time.Now()
	stack.WaitWithin(t, resumed, "all nodes at the new master", func() bool { return g.replica.Subscribers(t, "ws:all") == 2 })
	t.Logf("all nodes at the new master after %v", time.Since(began))
	ready(t, p.nodes[:], true, resumed)
	p.everyWay(t, g.url)
	equal(t, "nodes at the new master", g.replica.Publish(t, "ws:user:a", "counted"), 1)
	p.a.Expect("counted")
}
