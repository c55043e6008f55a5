package faults

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"wsfpm/test/stack"
)

// group is the Redis of the programme of the log: a master, its replica, and a Sentinel, which
// moves the master when it is told to.
type group struct {
	servers  [2]*stack.RedisServer
	master   atomic.Int32 // of servers
	sentinel string       // HOST:PORT
	asks     *redis.SentinelClient
}

func newGroup(t *testing.T) *group {
	t.Helper()
	g := &group{}
	for i := range g.servers { // a replica loads from the socket: else a file would bring old records back
		g.servers[i] = stack.Redis(t, stack.RedisOptions{Args: []string{"--repl-diskless-sync-delay", "0", "--repl-diskless-load", "swapdb"}})
	}
	g.follow(t, g.servers[1], g.servers[0])
	// It takes no server for dead by itself in the time that other faults last: these are to
	// break this master, not to make another.
	g.sentinel = stack.Sentinel(t, g.servers[0].Addr, stack.SentinelOptions{Settings: []string{"down-after-milliseconds 60000"}}).Addr
	g.asks = redis.NewSentinelClient(&redis.Options{Addr: g.sentinel})
	t.Cleanup(func() { g.asks.Close() })
	stack.Wait(t, "the Sentinel to know the replica", func() bool {
		list, err := g.asks.Replicas(t.Context(), stack.SentinelGroup).Result()
		return err == nil && len(list) == 1
	})
	return g
}

// now is the master, and replica the other server.
func (g *group) now() *stack.RedisServer     { return g.servers[g.master.Load()] }
func (g *group) replica() *stack.RedisServer { return g.servers[1-g.master.Load()] }

// client opens a client that asks the Sentinel for the master, as a site does.
func (g *group) client() *redis.Client {
	return redis.NewFailoverClient(&redis.FailoverOptions{MasterName: stack.SentinelGroup, SentinelAddrs: []string{g.sentinel}, MaxRetries: -1})
}

// follow makes a server a replica.
func (g *group) follow(t stack.T, replica, master *stack.RedisServer) {
	t.Helper()
	host, port, _ := net.SplitHostPort(master.Addr)
	replica.Do(t, "REPLICAOF", host, port)
}

// isolate waits until the replica has what the master has stored, and then cuts it off.
func (g *group) isolate(t stack.T) {
	t.Helper()
	stack.Wait(t, "the replica to be connected", func() bool { return g.field(t, g.replica(), "master_link_status") == "up" })
	var stored, got int64
	fmt.Sscan(g.field(t, g.now(), "master_repl_offset"), &stored)
	stack.Wait(t, "the replica to have everything", func() bool {
		_, err := fmt.Sscan(g.field(t, g.replica(), "slave_repl_offset"), &got)
		return err == nil && got >= stored
	})
	g.replica().Do(t, "CONFIG", "SET", "masteruser", "stranger", "masterauth", "x")
	g.now().Do(t, "CLIENT", "KILL", "TYPE", "replica")
	stack.Wait(t, "the replica to be cut off", func() bool { return g.field(t, g.replica(), "master_link_status") == "down" })
}

// failOver kills the master and lets the Sentinel promote the replica. What the master alone
// has stored is lost. It comes back, empty, as the replica.
func (g *group) failOver(t stack.T) {
	t.Helper()
	old, next := g.now(), g.replica()
	if last := newest(t, old); last == newest(t, next) {
		t.Fatalf("the replica has everything up to %s: nothing would be lost", last)
	}
	old.Kill()
	stack.Wait(t, "the new master", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), stack.Patience)
		defer cancel()
		at, err := g.asks.GetMasterAddrByName(ctx, stack.SentinelGroup).Result()
		if err == nil && net.JoinHostPort(at[0], at[1]) == next.Addr {
			return true
		}
		_ = g.asks.Failover(ctx, stack.SentinelGroup).Err() // it is an error while one is under way
		return false
	})
	next.Do(t, "CONFIG", "SET", "masteruser", "", "masterauth", "")
	g.master.Store(1 - g.master.Load())
}

// newest is the newest entry of a server's log.
func newest(t stack.T, s *stack.RedisServer) string {
	t.Helper()
	return s.Do(t, "XREVRANGE", "ws:log", "+", "-", "COUNT", 1)
}

// comesBack starts the former master again, empty, as the replica.
func (g *group) comesBack(t stack.T) {
	t.Helper()
	g.replica().Start(t)
	g.follow(t, g.replica(), g.now())
}

// field is a line of INFO replication.
func (g *group) field(t stack.T, s *stack.RedisServer, name string) string {
	t.Helper()
	for line := range strings.Lines(s.Do(t, "INFO", "replication")) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), name+":"); found {
			return value
		}
	}
	return ""
}

// way is a node's way to the group: a link to each server, and one to the Sentinel, in whose
// answers the servers have the addresses of their links.
type way struct {
	links []*link
	url   string
}

func newWay(t *testing.T, g *group) *way {
	t.Helper()
	w := &way{}
	var names []string
	for _, s := range g.servers {
		l := newLink(t, "tcp", s.Addr)
		w.links = append(w.links, l)
		_, from, _ := net.SplitHostPort(s.Addr)
		_, to, _ := net.SplitHostPort(l.address)
		if len(from) != len(to) {
			t.Fatalf("the ports %s and %s have not the same length, which answers of the Sentinel give", from, to)
		}
		names = append(names, from, to)
	}
	l := newLink(t, "tcp", g.sentinel)
	l.renames = strings.NewReplacer(names...)
	w.links = append(w.links, l)
	w.url = fmt.Sprintf("redis://%s/0?master_name=%s", l.address, stack.SentinelGroup)
	return w
}

func (w *way) each(do func(*link)) {
	for _, l := range w.links {
		do(l)
	}
}
