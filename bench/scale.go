package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// The crowd of a helper process speaks with its parent by lines of JSON on
// standard output; it ends with its standard input.
type crowdLine struct {
	Open    int     `json:"open"`
	Seconds float64 `json:"seconds"` // that opening took
	Heard   int64   `json:"heard"`
	P50     float64 `json:"p50_us"`
	Last    float64 `json:"last_us"`
}

// crowdMain is the helper process "bench crowd": clients of one gateway that
// wait for one message.
func crowdMain(args []string) error {
	f := flag.NewFlagSet("crowd", flag.ContinueOnError)
	address := f.String("address", "", "address of the gateway")
	n := f.Int("n", 0, "number of clients")
	first := f.Int("first", 0, "number of the first user")
	if err := f.Parse(args); err != nil {
		return err
	}
	go func() {
		bufio.NewReader(os.Stdin).ReadByte() // the parent has gone
		os.Exit(0)
	}()
	c, err := newCrowd()
	if err != nil {
		return err
	}
	began := time.Now()
	dial := dialMember(&server{address: *address})
	if _, err := c.open(*n, 32, func(i int) (*webSocket, error) { return dial(*first + i) }); err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(crowdLine{Open: c.size(), Seconds: time.Since(began).Seconds()}); err != nil {
		return err
	}
	for {
		for heard := int64(0); heard == 0; time.Sleep(10 * time.Millisecond) {
			c.mu.Lock()
			heard = c.heard
			c.mu.Unlock()
		}
		err := c.await(int64(*n))
		c.mu.Lock()
		line := crowdLine{Open: len(c.members) - c.lost, Heard: c.heard,
			P50: micros(c.latency.quantile(0.5), 1), Last: micros(c.latency.max, 1)}
		c.mu.Unlock()
		if encodeErr := out.Encode(line); err != nil || encodeErr != nil {
			return fmt.Errorf("%w, %w", err, encodeErr)
		}
		c.reset()
	}
}

// node is one gateway with the helper process that holds its clients.
type node struct {
	server *server
	lines  *json.Decoder
	before int64 // RSS without clients
}

// scale spreads very many clients over several gateways on one Redis and
// publishes to all of them.
func scale(l *lab, r *recorder) error {
	nodes, err := l.nodes()
	if err != nil {
		return err
	}
	opened := 0.0
	for _, n := range nodes {
		var line crowdLine
		if err := n.lines.Decode(&line); err != nil {
			return fmt.Errorf("a crowd ended: %w", err)
		}
		opened = max(opened, line.Seconds)
	}
	time.Sleep(l.o.hold)
	if err := l.weigh(r, nodes, opened); err != nil {
		return err
	}
	redis, err := dialRedis(l.redis.address)
	if err != nil {
		return err
	}
	defer redis.close()
	for round := range l.o.rounds {
		if err := l.toAll(r, redis, nodes, round); err != nil {
			return err
		}
	}
	return nil
}

// nodes starts the gateways, and their crowds all at once.
func (l *lab) nodes() ([]*node, error) {
	var nodes []*node
	for i := range l.o.crowds {
		// Eight workers for all of them: each gets one.
		s, err := l.startGateway(gatewayOptions{name: fmt.Sprintf("wsfpm-node%d", i), workers: 1, ping: l.o.ping})
		if err != nil {
			return nil, err
		}
		n := &node{server: s}
		if n.before, err = resident(s.pid()); err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	for i, n := range nodes {
		cmd := exec.Command(l.self, "crowd", "-address", n.server.address, "-n", fmt.Sprint(l.o.crowd), "-first", fmt.Sprint(i*l.o.crowd))
		if _, err := cmd.StdinPipe(); err != nil {
			return nil, err
		}
		out, in, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer in.Close()
		cmd.Stdout = in
		n.lines = json.NewDecoder(out)
		if _, err := l.start(fmt.Sprintf("crowd%d", i), cmd); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// weigh reads the memory of all gateways.
func (l *lab) weigh(r *recorder, nodes []*node, opened float64) error {
	var sum int64
	for _, n := range nodes {
		bytes, err := resident(n.server.pid())
		if err != nil {
			return err
		}
		sum += bytes - n.before
	}
	all := float64(len(nodes) * l.o.crowd)
	r.add("many processes", "wsfpm", 0, values{
		"connections": all, "rss_bytes": float64(sum) / all, "opened_per_second": all / opened,
	})
	return nil
}

// toAll publishes one message to everybody.
func (l *lab) toAll(r *recorder, redis *redisConn, nodes []*node, round int) error {
	if _, err := redis.publish("ws:all", stamped(pushSize)); err != nil {
		return err
	}
	var heard int64
	var last, p50 float64
	for _, n := range nodes {
		var line crowdLine
		if err := n.lines.Decode(&line); err != nil {
			return fmt.Errorf("a crowd ended: %w", err)
		}
		heard += line.Heard
		last, p50 = max(last, line.Last), max(p50, line.P50)
	}
	r.add("one message to all", "wsfpm", round, values{"heard": float64(heard), "last_ms": last / 1000, "p50_us": p50})
	return nil
}
