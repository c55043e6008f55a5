package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"wsfpm/gateway/bus"
	"wsfpm/session"
)

// joiners is how many clients of one process are joining at once.
const joiners = 100

// joins measures what users cost Redis and the process that they are connected
// to: the names that it subscribes to, a lost line with all of them, and a
// PUBLISH that several processes hear. The sockets are left out, so a hundred
// thousand users fit beside everything else.
func joins(l *lab, r *recorder) error {
	redis, err := dialRedis(l.redis.address)
	if err != nil {
		return err
	}
	defer redis.close()
	pid, err := redis.info("server", "process_id")
	if err != nil {
		return err
	}
	t := &joinTest{lab: l, redis: redis, pid: int(pid)}
	for i := range l.o.users {
		t.users = append(t.users, namesOf(i))
	}
	for round := range l.o.rounds {
		if err := t.round(r, round); err != nil {
			return err
		}
		for _, processes := range []int{0, 1, 7, 10} {
			if err := t.publish(r, processes, round); err != nil {
				return err
			}
		}
	}
	return nil
}

// joinTest is many users of one process, and the Redis that it listens to. One
// goroutine uses it.
type joinTest struct {
	*lab
	redis *redisConn
	pid   int // of Redis
	users [][]session.Address
	bus   *bus.Bus
}

// namesOf are the names that the client of dialMember with this number is
// reached by. Three of the five are its own.
func namesOf(i int) []session.Address {
	return []session.Address{
		session.Conn(fmt.Sprintf("web1-a1b2c3-%08d", i)),
		session.User(fmt.Sprint(i)),
		session.Channel("site"),
		session.Channel(fmt.Sprintf("room-%d", i%1000)),
		session.Channel(fmt.Sprintf("own-%d", i)),
	}
}

// round is one turn: users come, lose Redis, and go.
func (t *joinTest) round(r *recorder, round int) (err error) {
	t.bus, err = bus.New(bus.Config{URL: "redis://" + t.lab.redis.address, Confirm: time.Minute})
	if err != nil {
		return err
	}
	defer t.bus.Close()
	t.bus.Listen(func(*session.Command) func(context.Context) error { return nil })
	if err := t.await(1); err != nil {
		return err
	}
	few := t.users[:len(t.users)/10]
	if err := t.measure(r, "users join, one at a time", round, len(few), func() error { return t.join(few, 1) }); err != nil {
		return err
	}
	if err := t.leave(few); err != nil {
		return err
	}
	heap, memory, err := t.memory()
	if err != nil {
		return err
	}
	n := len(t.users)
	if err := t.measure(r, "users join, 100 at a time", round, n, func() error { return t.join(t.users, joiners) }); err != nil {
		return err
	}
	heapAfter, memoryAfter, err := t.memory()
	if err != nil {
		return err
	}
	names := float64(t.bus.Stats().Names)
	r.add("memory of names", "wsfpm", round, values{
		"names": names, "redis_bytes": float64(memoryAfter-memory) / names, "heap_bytes": float64(heapAfter-heap) / names,
	})
	if err := t.measure(r, "a lost line, all users", round, n, t.lose); err != nil {
		return err
	}
	return t.measure(r, "users leave, all at once", round, n, func() error { return t.leave(t.users) })
}

// measure does something with n users and records its time and CPU.
func (t *joinTest) measure(r *recorder, kase string, round, n int, do func() error) error {
	m := newMeter([]int{t.pid}, nil)
	m.start()
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", kase, err)
	}
	u := m.stop()
	r.add(kase, "wsfpm", round, values{
		"users": float64(n), "seconds": u.elapsed.Seconds(),
		"cpu_us": micros(u.own, int64(n)), "redis_cpu_us": micros(u.front, int64(n)),
	})
	return nil
}

// join lets users join, some at a time, each with all of its names at once.
func (t *joinTest) join(users [][]session.Address, atATime int) error {
	var unconfirmed, next atomic.Int64
	var joining sync.WaitGroup
	for range atATime {
		joining.Go(func() {
			for i := next.Add(1); i <= int64(len(users)); i = next.Add(1) {
				if !t.bus.Join(context.Background(), users[i-1]) {
					unconfirmed.Add(1)
				}
			}
		})
	}
	joining.Wait()
	if n := unconfirmed.Load(); n > 0 {
		return fmt.Errorf("the names of %d users were not confirmed", n)
	}
	return nil
}

// leave waits until Redis has forgotten the last name of the last user.
func (t *joinTest) leave(users [][]session.Address) error {
	for _, names := range users {
		t.bus.Leave(names)
	}
	last := users[len(users)-1]
	name := "ws:" + last[len(last)-1].String()
	return within(func() (bool, error) {
		n, err := t.redis.publish(name, "still there?")
		return n == 0, err
	})
}

// lose lets Redis cut the line and waits until every name is confirmed again.
func (t *joinTest) lose() error {
	epoch := t.bus.Stats().Epochs
	if _, err := t.redis.number("CLIENT", "KILL", "TYPE", "pubsub"); err != nil {
		return err
	}
	return t.await(epoch + 1)
}

// await waits for a connection to Redis on which every name is confirmed.
func (t *joinTest) await(epoch uint64) error {
	return within(func() (bool, error) { return t.bus.Stats().Epochs >= epoch && t.bus.Ready() == nil, nil })
}

// within asks every few milliseconds until the answer is true.
func within(ask func() (bool, error)) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if done, err := ask(); done || err != nil {
			return err
		}
	}
	return fmt.Errorf("it took more than %v", patience)
}

// memory is what this process and Redis have in use, in bytes.
func (t *joinTest) memory() (own uint64, redis int64, err error) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	redis, err = t.redis.info("memory", "used_memory")
	return m.HeapAlloc, redis, err
}

// publish measures Redis's CPU for a PUBLISH that so many processes hear,
// published over connections that stay.
func (t *joinTest) publish(r *recorder, processes, round int) error {
	const publishers, channel = 16, "ws:channel:bench"
	end, err := t.redis.hear(processes, channel)
	defer end()
	if err != nil {
		return err
	}
	errs := make([]error, publishers)
	m := newMeter([]int{t.pid}, nil)
	m.start()
	var publishing sync.WaitGroup
	for i := range publishers {
		publishing.Go(func() { errs[i] = publishMany(t.lab.redis.address, channel, t.o.users/publishers) })
	}
	publishing.Wait()
	u := m.stop()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	r.add(fmt.Sprintf("a PUBLISH to %d processes", processes), "wsfpm", round, values{
		"redis_cpu_us": micros(u.front, int64(t.o.users/publishers*publishers)),
	})
	return nil
}

// publishMany publishes n messages one after another.
func publishMany(address, channel string, n int) error {
	c, err := dialRedis(address)
	if err != nil {
		return err
	}
	defer c.close()
	message := stamped(pushSize)
	for range n {
		if _, err := c.publish(channel, message); err != nil {
			return err
		}
	}
	return nil
}
