package faults

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// afterRedis is how long pushes of scripts may be away when both nodes hear Redis:
// the connections on which nodes publish are others.
const afterRedis = 2 * time.Second

// breakRedis makes one fault of Redis or of one node's way to it.
func (p *programme) breakRedis(t worker, f fault) {
	w := p.world
	node := both
	if isLink(f) {
		node = f.Node
	}
	end := p.windows.open(partRedis, node, f.name())
	defer func() { end(afterRedis) }()
	ms := f.Lasting.Milliseconds()
	switch f.Kind {
	case "kill":
		w.redis.Kill()
		p.rest(f.Lasting)
		w.redis.Start(t)
	case "freeze":
		w.redis.Pause()
		p.rest(f.Lasting)
		w.redis.Resume()
	case "client-pause":
		w.redis.Do(t, "CLIENT", "PAUSE", ms, "ALL")
		p.rest(f.Lasting)
	case "kill-pubsub":
		w.redis.Do(t, "CLIENT", "KILL", "TYPE", "pubsub")
	case "kill-normal":
		w.redis.Do(t, "CLIENT", "KILL", "TYPE", "normal")
	case "debug-sleep":
		w.redis.Do(t, "DEBUG", "SLEEP", fmt.Sprintf("%.3f", f.Lasting.Seconds()))
	case "overflow":
		p.overflow(t, f)
	default:
		p.breakLink(t, w.toRedis[f.Node], f)
	}
	p.awaitRedis(f)
}

// overflow lets Redis' output buffer for a node's subscriber overflow: the node
// does not hear, and more is published than Redis may keep for it. The other
// node's may overflow, too.
func (p *programme) overflow(t worker, f fault) {
	w := p.world
	limits := func(v string) { w.redis.Do(t, "CONFIG", "SET", "client-output-buffer-limit", "pubsub "+v) }
	limits(fmt.Sprintf("%d %d 60", pubsubLimit, pubsubLimit))
	defer limits("33554432 8388608 60")
	link := w.toRedis[f.Node]
	link.swallow()
	defer link.mend()
	client := redis.NewClient(&redis.Options{Addr: w.redis.Addr})
	defer client.Close()
	// A command for a channel without members has no effect.
	command := `{"to":"channel:none","data":"` + strings.Repeat("x", 60<<10) + `"}`
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for range 160 {
		if err := client.Publish(ctx, "ws:command", command).Err(); err != nil {
			p.count("overflow: publish failed")
		}
	}
	p.rest(f.Lasting)
}

// probe is what a node said when a push was published that this node alone hears.
type probe struct{ began, connections, heard float64 }

func newProbe(m map[string]float64) probe {
	return probe{sum(m, "process_start_time_seconds"), m["wsfpm_redis_connections_total"], sum(m, "wsfpm_pushes_received_total", `door="relay"`)}
}

// heardAt reports whether the push was heard by now, on the connection that was
// the node's when it was published. It is lost when that is not the same any more.
func (a probe) heardAt(now probe) (heard, lost bool) {
	lost = a.began != now.began || a.connections != now.connections
	return !lost && now.heard > a.heard, lost
}

// awaitRedis waits until both nodes hear Redis, with all names. A node that does
// not know yet that Redis has closed its connection says that all is well, for as
// long as it has something to read. So each must hear a push that was published
// after the fault was mended, too, on one connection.
func (p *programme) awaitRedis(f fault) {
	client := redis.NewClient(&redis.Options{Addr: p.world.redis.Addr, MaxRetries: -1})
	defer client.Close()
	var probes [2]*probe
	p.await(f, "Redis is heard", func(node int, m map[string]float64) bool {
		now := newProbe(m)
		heard, lost := false, true
		if probes[node] != nil {
			heard, lost = probes[node].heardAt(now)
		}
		if lost {
			probes[node] = &now
		}
		// Again each time: a node may be connected, and not have subscribed yet.
		_ = client.Publish(context.Background(), probeOf(nodeNames[node])+"x", "probe").Err()
		return heard && m[`wsfpm_redis_state{state="up"}`] == 1 && m["wsfpm_redis_names"] == m["wsfpm_redis_names_confirmed"]
	})
}

func TestAProbeIsHeardOnOneConnection(t *testing.T) {
	before := probe{began: 1, connections: 2, heard: 3}
	for now, want := range map[probe][2]bool{
		before:    {false, false},
		{1, 2, 4}: {true, false},
		{1, 3, 4}: {false, true}, // the node has lost the connection
		{9, 2, 4}: {false, true}, // the node has begun again
	} {
		if heard, lost := before.heardAt(now); heard != want[0] || lost != want[1] {
			t.Errorf("%+v: got heard %v and lost %v, want %v", now, heard, lost, want)
		}
	}
}
