package main

import (
	"fmt"
	"sync"
	"time"
)

const (
	// storedRate is the messages offered in a second, by storedPublishers together.
	storedRate       = 5_000
	storedPublishers = 16
	// storedNodes is the number of gateways that hear them.
	storedNodes = 10
)

// Names of the report.
const (
	storedCase = "5,000 messages a second"
	storedLog  = "the log, read by 10 nodes"
)

// stored compares the log with plain pushes: what a message costs Redis that is stored and
// read by ten gateways, beside a PUBLISH that one subscriber or ten hear.
func stored(l *lab, r *recorder) error {
	redis, err := dialRedis(l.redis.address)
	if err != nil {
		return err
	}
	defer redis.close()
	pid, err := redis.info("server", "process_id")
	if err != nil {
		return err
	}
	t := &storedTest{lab: l, redis: redis, pid: int(pid)}
	// Nodes of their own prefix: a round of PUBLISH is not disturbed by their reading.
	for i := range storedNodes {
		g, err := l.startGateway(gatewayOptions{name: fmt.Sprintf("wsfpm-stored-%d", i), prefix: "stored:"})
		if err != nil {
			return err
		}
		t.pids = append(t.pids, g.pids()...)
	}
	if err := l.rest(); err != nil {
		return err
	}
	for round := range l.o.rounds {
		if err := t.round(r, round); err != nil {
			return err
		}
	}
	return nil
}

// storedTest is the nodes and their Redis. One goroutine uses it.
type storedTest struct {
	*lab
	redis *redisConn
	pid   int   // of Redis
	pids  []int // of the nodes
}

func (t *storedTest) round(r *recorder, round int) error {
	payload := stamped(pushSize)
	store := []string{"XADD", "stored:log", "*", "to", "channel:site", "data", payload}
	if err := t.measure(r, "nothing, 10 nodes idle", round, nil); err != nil {
		return err
	}
	for _, n := range []int{0, 1, storedNodes} {
		if err := t.heard(r, n, round, []string{"PUBLISH", "bench:stored", payload}); err != nil {
			return err
		}
	}
	return t.measure(r, storedLog, round, store)
}

// heard measures a PUBLISH with n subscribers.
func (t *storedTest) heard(r *recorder, n, round int, command []string) error {
	end, err := t.redis.hear(n, command[1])
	defer end()
	if err != nil {
		return err
	}
	return t.measure(r, fmt.Sprintf("PUBLISH, heard by %d", n), round, command)
}

// measure offers a command at storedRate, none if it is nil, and records the CPU of each in
// Redis and in the nodes.
func (t *storedTest) measure(r *recorder, what string, round int, command []string) error {
	length := 2 * t.o.length
	count := int64(length.Seconds() * storedRate)
	own, nodes := newMeter([]int{t.pid}, nil), newMeter(t.pids, nil)
	own.start()
	nodes.start()
	if command == nil {
		time.Sleep(length)
	} else if err := t.offer(command, count/storedPublishers); err != nil {
		return err
	}
	r.add(storedCase, what, round, values{
		"redis_cpu_us": micros(own.stop().front, count),
		"cpu_us":       micros(nodes.stop().front, count*storedNodes),
	})
	return nil
}

// offer sends a command n times over each of storedPublishers connections.
func (t *storedTest) offer(command []string, n int64) error {
	errs := make([]error, storedPublishers)
	began := time.Now()
	var publishing sync.WaitGroup
	for i := range storedPublishers {
		publishing.Go(func() { errs[i] = offerOver(t.lab.redis.address, command, n, began, i) })
	}
	publishing.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// offerOver sends a command n times over one connection, at its part of storedRate, and waits
// for each answer.
func offerOver(address string, command []string, n int64, began time.Time, publisher int) error {
	c, err := dialRedis(address)
	if err != nil {
		return err
	}
	defer c.close()
	for i := range n {
		turn := i*storedPublishers + int64(publisher)
		time.Sleep(time.Until(began.Add(time.Duration(turn) * time.Second / storedRate)))
		if err := c.done(command...); err != nil {
			return err
		}
	}
	return nil
}
