package redistest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"wsfpm/test/stack"
)

var (
	confirm = 500 * time.Millisecond
	// slack is what a reply may take beside redis.confirm: PHP, two crowded
	// cores, the race detector.
	slack = stack.Bound(700 * time.Millisecond)
	// noticed bounds how long /ready stays green with a deaf Redis: a second of
	// silence, up to a second until the next look, and redis.confirm.
	noticed = 2*time.Second + confirm + slack
	// resumed bounds how long pushes stay away when Redis is back: the longest
	// wait between two attempts to connect, and confirming all names.
	resumed = stack.Bound(3 * time.Second)
)

// members are clients of two nodes, each in a channel of its own and in one
// that all share, as a user of its own.
type members []client

func gather(t *testing.T, nodes [2]node, n int) members {
	t.Helper()
	var m members
	for i := range n {
		m = append(m, nodes[i%2].dial(t, fmt.Sprintf("WS-Join: own%d, hall", i), fmt.Sprintf("WS-User: u%d", i)))
	}
	return m
}

// wantPushes publishes to every address once and wants every count and every
// push, at once.
func (m members) wantPushes(t *testing.T, server *stack.RedisServer) {
	t.Helper()
	r := server.Client(t)
	equal(t, "nodes at hall", publish(t, r, "ws:channel:hall", "to hall"), 2)
	for i, c := range m {
		for _, address := range c.addresses(i) {
			equal(t, "nodes at "+address, publish(t, r, "ws:"+address, "to "+address), 1)
		}
	}
	for i, c := range m {
		c.Expect("to hall")
		for _, address := range c.addresses(i) {
			c.Expect("to " + address)
		}
	}
}

// addresses are those that member i alone has.
func (c client) addresses(i int) []string {
	return []string{fmt.Sprint("channel:own", i), fmt.Sprint("user:u", i), "conn:" + c.id}
}

// traffic sends events on clients of their own until stop, and fails the test
// when a reply is late. Of every three clients one only talks, one joins and
// leaves, one publishes to a channel without members.
func traffic(t *testing.T, nodes [2]node, clients int) (stop func()) {
	over, end := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for i := range clients {
		w := worker{t}
		c := nodes[i%2].dial(w)
		events := [][]string{nil, {fmt.Sprint("WS-Join: t", i, "-%d")}, {commandType}}
		running.Go(func() {
			for n := 0; over.Err() == nil; n++ {
				c.event(w, n, events[i%3])
			}
		})
	}
	return func() { end(); running.Wait() }
}

// event is one event of traffic.
func (c client) event(w worker, n int, headers []string) {
	reply := fmt.Sprint("reply ", n)
	body := reply
	if len(headers) == 1 && headers[0] == commandType {
		body = fmt.Sprintf(`[{"to":"channel:none","data":"x"},{"data":%q}]`, reply)
	} else if len(headers) == 1 {
		headers = []string{fmt.Sprintf(headers[0], n%7), fmt.Sprintf("WS-Leave: "+headers[0][len("WS-Join: "):], (n+6)%7)}
	}
	began := time.Now()
	c.say(body, headers...)
	c.Expect(reply)
	if took := time.Since(began); took > confirm+slack {
		w.Errorf("the reply to %q took %v, want at most %v", headers, took, confirm)
	}
}

// ready waits until /ready of all nodes is green, or red.
func ready(t *testing.T, nodes []node, green bool, within time.Duration) {
	t.Helper()
	began := time.Now()
	for _, n := range nodes {
		stack.WaitWithin(t, within, fmt.Sprint("/ready to be green: ", green), func() bool { return n.Ready() == green })
	}
	t.Logf("/ready green: %v after %v", green, time.Since(began).Round(time.Millisecond))
}

// path is a Redis and the link that the nodes reach it by.
type path struct {
	server *stack.RedisServer
	link   *stack.Link
}

func newPath(t *testing.T) *path {
	t.Helper()
	server := stack.Redis(t, stack.RedisOptions{})
	return &path{server, stack.Proxy(t, server.Addr)}
}

func (p *path) url() string { return "redis://" + p.link.Addr + "/0" }

func TestFaultsOfRedisCostNoReply(t *testing.T) {
	row(t, "2.promise-join-redis-down", "2.reply-no-redis", "3.redis-down", "3.redis-back")
	start := func(t *testing.T, p *path) { p.server.Start(t) }
	for name, fault := range map[string]struct{ begin, end func(*testing.T, *path) }{
		"stopped":      {func(_ *testing.T, p *path) { p.server.Stop() }, start},
		"killed":       {func(_ *testing.T, p *path) { p.server.Kill() }, start},
		"frozen":       {func(_ *testing.T, p *path) { p.server.Pause() }, func(_ *testing.T, p *path) { p.server.Resume() }},
		"unreachable":  {func(_ *testing.T, p *path) { p.link.Cut() }, func(_ *testing.T, p *path) { p.link.Mend() }},
		"a black hole": {func(_ *testing.T, p *path) { p.link.Pause() }, func(_ *testing.T, p *path) { p.link.Resume() }},
		"client paused": {
			func(t *testing.T, p *path) { p.server.Do(t, "CLIENT", "PAUSE", "2000", "ALL") },
			func(*testing.T, *path) {}, // it ends by itself
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPath(t)
			nodes := startTwo(t, p.url(), fmt.Sprintf("confirm = %q", confirm))
			crowd := gather(t, nodes, 6)
			stop := traffic(t, nodes, 6)
			crowd.wantPushes(t, p.server)

			fault.begin(t, p)
			ready(t, nodes[:], false, noticed)
			began := time.Now()
			late := nodes[0].dial(t, "WS-Join: late")
			if took := time.Since(began); took > confirm+slack {
				t.Errorf("a connect took %v, want at most %v", took, confirm)
			}
			if n := nodes[0].Metric(t, "wsfpm_joins_unconfirmed_total"); n == 0 {
				t.Error("wsfpm_joins_unconfirmed_total did not count")
			}
			fault.end(t, p)
			ready(t, nodes[:], true, resumed)
			crowd.wantPushes(t, p.server)
			equal(t, "nodes at late", p.server.Publish(t, "ws:channel:late", "x"), 1)
			late.Expect("x")
			stop()
		})
	}
}

func TestAFrozenRedisIsNoticedInSilence(t *testing.T) {
	row(t, "2.promise-join-redis-down")
	server := stack.Redis(t, stack.RedisOptions{})
	nodes := startTwo(t, server.URL(), fmt.Sprintf("confirm = %q", confirm))
	server.Pause()
	ready(t, nodes[:], false, noticed)
	server.Resume()
	ready(t, nodes[:], true, resumed)
}

func TestAnEventWaitsOnceForASilentRedis(t *testing.T) {
	row(t, "2.publish-order", "3.redis-down")
	server := stack.Redis(t, stack.RedisOptions{})
	n := startNode(t, "one", server.URL(), fmt.Sprintf("confirm = %q", confirm))
	c := n.dial(t)
	server.Pause()
	const pushes = 200 // a wait for each would be longer than the next event's answer is waited for
	push := `{"to":"channel:x","data":"lost"}`
	c.say("["+push+strings.Repeat(","+push, pushes-1)+"]", commandType)
	c.do("the next event")
	equal(t, "wsfpm_publish_failed_total", n.Metric(t, "wsfpm_publish_failed_total"), pushes)
	server.Resume()
}

// Killed subscribers come back so fast that /ready need not be seen red; over
// a slow link, with many names, it is, and green means every name.
func TestKilledSubscribersComeBack(t *testing.T) {
	row(t, "3.redis-back")
	p := newPath(t)
	p.link.Delay(50 * time.Millisecond)
	nodes := startTwo(t, p.url(), fmt.Sprintf("confirm = %q", confirm))
	crowd := gather(t, nodes, 20)
	stop := traffic(t, nodes, 6)
	for round := range 3 {
		p.server.Do(t, "CLIENT", "KILL", "TYPE", "pubsub")
		for _, n := range nodes { // a look at /ready could miss that it is red
			stack.WaitWithin(t, resumed, "another connection", func() bool { return int(n.Metric(t, "wsfpm_redis_connections_total")) == round+2 })
		}
		ready(t, nodes[:], true, resumed)
		crowd.wantPushes(t, p.server)
	}
	stop()
}

// More names than go out before Redis has answered the first of them: /ready
// stays red until the last is confirmed.
func TestGreenMeansEveryName(t *testing.T) {
	row(t, "3.redis-back")
	const messages, names = 12, 500 // of each message
	p := newPath(t)
	n := startNode(t, "one", p.url(), "")
	c := n.dial(t)
	var all []string
	for i := range messages {
		var list []string
		for j := range names {
			name := fmt.Sprint("n", i, "-", j)
			list, all = append(list, name), append(all, "ws:channel:"+name)
		}
		c.do("joined", "WS-Join: "+strings.Join(list, ","))
	}
	p.link.Delay(50 * time.Millisecond)
	p.server.Do(t, "CLIENT", "KILL", "TYPE", "pubsub")
	ready(t, []node{n}, false, time.Second)
	ready(t, []node{n}, true, resumed)
	counts, err := p.server.Client(t).PubSubNumSub(t.Context(), all...).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if counts[name] != 1 {
			t.Fatalf("/ready is green and %s has %d subscribers, want 1", name, counts[name])
		}
	}
}
