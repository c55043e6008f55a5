package redistest

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// group is a master, its replica, and the Sentinels that watch them.
type group struct {
	master, replica *stack.RedisServer
	sentinels       []*stack.SentinelServer
	flags           []string // of redis-cli, for TLS
	url             string   // of a Sentinel that does not exist, and of all that do
}

// groupOptions says how a group shall run.
type groupOptions struct {
	sentinels int // default 1; more than half of them are the quorum
	flags     []string
	secure    func(host string) *stack.RedisTLS // nil: without TLS
}

// startGroup makes a group with one Sentinel.
func startGroup(t *testing.T) group {
	t.Helper()
	return startGroupOf(t, groupOptions{})
}

func startGroupOf(t *testing.T, opt groupOptions) group {
	t.Helper()
	if opt.secure == nil {
		opt.secure = func(string) *stack.RedisTLS { return nil }
	}
	n := max(opt.sentinels, 1)
	secure := opt.secure("127.0.0.1")
	g := group{flags: opt.flags, master: stack.Redis(t, stack.RedisOptions{TLS: secure})}
	g.replica = stack.Redis(t, stack.RedisOptions{TLS: secure, Args: []string{"--replicaof", strings.Replace(g.master.Addr, ":", " ", 1)}})
	for i := range n {
		host := "127.0.0.1"
		if i == 0 && opt.flags != nil {
			host = "localhost" // servers with certificates of their own, of which the URL has each name
		}
		g.sentinels = append(g.sentinels, stack.Sentinel(t, g.master.Addr, stack.SentinelOptions{
			Quorum: n/2 + 1, TLS: opt.secure(host), Settings: []string{"down-after-milliseconds 1000", "failover-timeout 1000"},
		}))
	}
	for _, s := range g.sentinels {
		stack.Wait(t, "the Sentinel to know the replica and the others", func() bool {
			return strings.Contains(g.ask(t, s, "SENTINEL", "replicas", "main"), g.replica.Addr) &&
				strings.Contains(g.ask(t, s, "SENTINEL", "ckquorum", "main"), fmt.Sprintf("OK %d usable Sentinels", n))
		})
	}
	g.url = g.named(append([]string{"127.0.0.1:1"}, g.addresses()...)...)
	return g
}

// addresses are those of the Sentinels.
func (g group) addresses() (list []string) {
	for _, s := range g.sentinels {
		list = append(list, s.Addr)
	}
	return list
}

// named is a URL with these Sentinels, without TLS.
func (g group) named(addresses ...string) string {
	return "redis://" + strings.Join(addresses, ",") + "/0?master_name=" + stack.SentinelGroup
}

// ask is the answer of a Sentinel to a command, errors too.
func (g group) ask(t *testing.T, s *stack.SentinelServer, args ...string) string {
	t.Helper()
	return redisCLI(t, s.Addr, slices.Concat(g.flags, args)...)
}

// failover makes the replica the master. The old one keeps running, and for ten seconds does
// not know that it is a replica.
func (g group) failover(t *testing.T) {
	t.Helper()
	stack.Wait(t, "the new master", func() bool {
		state := g.ask(t, g.sentinels[0], "SENTINEL", "MASTER", "main")
		switch {
		case strings.Contains(state, "\n"+strings.TrimPrefix(g.replica.Addr, "127.0.0.1:")+"\n"):
			return true
		case !strings.Contains(state, "failover_in_progress"):
			// A Sentinel without CPU time gives one up that it has begun.
			g.ask(t, g.sentinels[0], "SENTINEL", "FAILOVER", "main")
		}
		return false
	})
}

// redisCLI is what redis-cli prints, errors too.
func redisCLI(t *testing.T, address string, args ...string) string {
	t.Helper()
	host, port, _ := strings.Cut(address, ":")
	out, err := exec.Command(stack.Tool(t, "redis-tools", "redis-cli"), append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
	if err != nil {
		t.Logf("redis-cli %v: %v\n%s", args, err, out)
	}
	return string(out)
}
