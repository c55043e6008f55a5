package faults

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// afterRedis is how long pushes may be away when both nodes say that they hear
// Redis: what they say may be older than the fault.
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
	// A command for a channel without members harms nobody.
	command := `{"to":"channel:nobody","data":"` + strings.Repeat("x", 60<<10) + `"}`
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for range 160 {
		if err := client.Publish(ctx, "ws:command", command).Err(); err != nil {
			p.count("overflow: publish failed")
		}
	}
	p.rest(f.Lasting)
}

// awaitRedis waits until both nodes hear Redis, with all names.
func (p *programme) awaitRedis(f fault) {
	p.await(f, "Redis is heard", func(m map[string]float64) bool {
		return m[`wsfpm_redis_state{state="up"}`] == 1 && m["wsfpm_redis_names"] == m["wsfpm_redis_names_confirmed"]
	})
}
