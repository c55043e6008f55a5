package bus

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"wsfpm/gateway/redis"
	"wsfpm/session"
)

// manyNames are the names of a node with a hundred thousand connections.
const manyNames = 100_000

func connNames(n int) []session.Address {
	names := make([]session.Address, n)
	for i := range names {
		names[i] = session.Conn(fmt.Sprintf("web1-a1b2c3-%08d", i))
	}
	return names
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkManyNames joins a hundred thousand names one by one from a hundred
// goroutines, then in one call, then after a lost connection.
func BenchmarkManyNames(b *testing.B) {
	s := startRedis(b)
	names := connNames(manyNames)
	var single, atOnce, again time.Duration
	var bytes float64
	for b.Loop() {
		bus := newTestBus(b, Config{URL: s.url, Confirm: time.Minute})
		waitReady(b, bus)
		single += timeOf(b, func() { joinOneByOne(b, bus, names) })
		bus.Leave(names)
		eventually(b, "left", func() bool { return s.subscribers("ws:"+names[manyNames-1].String()) == 0 })
		_ = bus.Close()

		bus = newTestBus(b, Config{URL: s.url, Confirm: time.Minute})
		waitReady(b, bus)
		before := heap()
		atOnce += timeOf(b, func() { mustJoin(b, bus, names...) })
		bytes += float64(heap()-before) / manyNames
		again += timeOf(b, func() {
			s.do("client", "kill", "type", "pubsub")
			eventually(b, "next epoch", func() bool { return bus.Stats().Epochs == 2 && bus.Ready() == nil })
		})
		_ = bus.Close()
	}
	n := float64(b.N)
	b.ReportMetric(single.Seconds()/n, "s/one-by-one")
	b.ReportMetric(atOnce.Seconds()/n, "s/at-once")
	b.ReportMetric(again.Seconds()/n, "s/reconnect")
	b.ReportMetric(bytes/n, "B/name")
}

func timeOf(b *testing.B, f func()) time.Duration {
	b.Helper()
	start := time.Now()
	f()
	return time.Since(start)
}

func joinOneByOne(b *testing.B, bus *testBus, names []session.Address) {
	const workers = 100
	done := make(chan bool, workers)
	for w := range workers {
		go func() {
			ok := true
			for i := w; i < len(names); i += workers {
				ok = bus.Join(context.Background(), names[i:i+1]) && ok
			}
			done <- ok
		}()
	}
	for range workers {
		if !<-done {
			b.Error("a join was not confirmed")
		}
	}
}

// BenchmarkSubscriptions measures the state machine alone: join and leave one name.
func BenchmarkSubscriptions(b *testing.B) {
	r := newSubscriptions(1)
	r.connected(0)
	names := connNames(1)
	b.ReportAllocs()
	for b.Loop() {
		r.join(names)
		r.next(time.Time{})
		r.heardSubscribed(names[0])
		r.leave(names)
		r.next(time.Time{})
		r.heardUnsubscribed(names[0])
	}
}

// BenchmarkDeliver passes a plain text push through the Bus.
func BenchmarkDeliver(b *testing.B) {
	bus := newTestBus(b, Config{})
	e := redis.Event{Kind: redis.EventMessage, Name: "ws:channel:lobby", Payload: string(make([]byte, 200))}
	b.ReportAllocs()
	for b.Loop() {
		if err := bus.deliver(context.Background(), e); err != nil {
			b.Fatal(err)
		}
		<-bus.ear
	}
}
