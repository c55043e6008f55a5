package main

import (
	"fmt"
	"os/exec"
	"time"
)

// pushSize is the size of a pushed message, in bytes; window is how many are
// under way at most when they are sent as fast as they arrive.
const (
	pushSize = 100
	window   = 4
)

// audience is a server with its clients and the Redis channel that reaches all
// of them.
type audience struct {
	name    string
	server  *server
	channel string
	crowd   *crowd
	redis   *redisConn
}

// fanout compares one PUBLISH to many clients with the floor.
func fanout(l *lab, r *recorder) error {
	gateway, err := l.startGateway(gatewayOptions{name: "wsfpm-fanout"})
	if err != nil {
		return err
	}
	ground, err := l.startFloor("bench:floor")
	if err != nil {
		return err
	}
	audiences := []*audience{
		{name: "wsfpm", server: gateway, channel: "ws:channel:site"},
		{name: "floor", server: ground, channel: "bench:floor"},
	}
	for _, a := range audiences {
		if err := a.open(l); err != nil {
			return err
		}
		defer a.close()
	}
	if err := l.rest(); err != nil {
		return err
	}
	for round := range l.o.rounds {
		for _, a := range audiences {
			if err := a.saturate(l, r, round); err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
		}
		for _, a := range audiences {
			if err := a.pace(l, r, round); err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
		}
	}
	return nil
}

// startFloor runs the floor's server.
func (l *lab) startFloor(channel string) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := l.start("floor", exec.Command(l.self, "floor", "-listen", address, "-redis", l.redis.address, "-channel", channel))
	if err != nil {
		return nil, err
	}
	return &server{process: p, address: address}, p.await("tcp", address)
}

func (a *audience) open(l *lab) (err error) {
	if a.redis, err = dialRedis(l.redis.address); err != nil {
		return err
	}
	if a.crowd, err = newCrowd(); err != nil {
		return err
	}
	_, err = a.crowd.open(l.o.fans, dialers, dialMember(a.server))
	return err
}

func (a *audience) close() {
	a.crowd.close()
	a.redis.close()
}

// saturate publishes as fast as the messages arrive.
func (a *audience) saturate(l *lab, r *recorder, round int) error {
	a.crowd.reset()
	fans := int64(l.o.fans)
	m := newMeter(a.server.pids(), nil)
	m.start()
	published := int64(0)
	for end := time.Now().Add(l.o.length); time.Now().Before(end); published++ {
		if err := a.crowd.await((published - window + 1) * fans); err != nil {
			return err
		}
		if _, err := a.redis.publish(a.channel, stamped(pushSize)); err != nil {
			return err
		}
	}
	if err := a.crowd.await(published * fans); err != nil {
		return err
	}
	a.record(r, "as fast as they arrive", round, m.stop(), published*fans)
	return nil
}

// pace publishes ten messages a second, so that each finds idle servers.
func (a *audience) pace(l *lab, r *recorder, round int) error {
	a.crowd.reset()
	fans := int64(l.o.fans)
	m := newMeter(a.server.pids(), nil)
	m.start()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	published := max(2, int64(l.o.length/(100*time.Millisecond)))
	for range published {
		<-tick.C
		if _, err := a.redis.publish(a.channel, stamped(pushSize)); err != nil {
			return err
		}
	}
	if err := a.crowd.await(published * fans); err != nil {
		return err
	}
	a.record(r, "ten a second", round, m.stop(), published*fans)
	return nil
}

func (a *audience) record(r *recorder, kase string, round int, u usage, deliveries int64) {
	a.crowd.mu.Lock()
	defer a.crowd.mu.Unlock()
	r.add(kase, a.name, round, values{
		"per_second": float64(deliveries) / u.elapsed.Seconds(),
		"cpu_us":     micros(u.front, deliveries),
		"p50_us":     micros(a.crowd.latency.quantile(0.5), 1),
		"p99_us":     micros(a.crowd.latency.quantile(0.99), 1),
		"max_us":     micros(a.crowd.latency.max, 1),
	})
}
