package ws

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"wsfpm/gateway/delivery"
	"wsfpm/session"
)

// BenchmarkDeliver is a push of 100 bytes to a channel of 2,000 sockets, beside bare writes to
// as many by one goroutine: what a delivery costs at least. It reports CPU time, since the
// delivery uses all CPUs.
func BenchmarkDeliver(b *testing.B) {
	const n = 2000
	payload := []byte(strings.Repeat("x", 100))
	b.Run("bare", func(b *testing.B) {
		servers, clients := manySockets(b, n)
		frame := append([]byte{0x81, 100}, payload...)
		measureDelivery(b, clients, func() {
			for _, s := range servers {
				if _, err := s.Write(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("delivery", func(b *testing.B) {
		servers, clients := manySockets(b, n)
		hub, shared := session.NewHub(), NewShared(0)
		var count atomic.Int64
		f := delivery.New(hub, delivery.Options{Delivered: &count, Recovered: func() {}})
		defer f.Close()
		for i, s := range servers {
			c := upgradedOf(b, shared, s, Limits{})
			_ = hub.Add(session.New(fmt.Sprint(i), c), session.Membership{Channels: []string{"room"}})
		}
		want, look := int64(0), time.NewTicker(100*time.Microsecond)
		defer look.Stop()
		measureDelivery(b, clients, func() {
			c := &session.Command{To: []session.Address{session.Channel("room")}, Message: session.NewMessage(false, payload)}
			if f.Deliver(c) != nil {
				b.Fatal("the queues are full")
			}
			for want += n; shared.Stats.MessagesOut.Load() < want; {
				<-look.C
			}
		})
	})
}

func manySockets(b *testing.B, n int) (servers, clients []net.Conn) {
	for range n {
		s, c := sockets(b, "tcp")
		servers, clients = append(servers, s), append(clients, c)
	}
	return servers, clients
}

// measureDelivery repeats a push. What has come is read now and then, outside of the measurement.
func measureDelivery(b *testing.B, clients []net.Conn, push func()) {
	var used time.Duration
	room := make([]byte, 64<<10)
	for i := 0; b.Loop(); i++ {
		before := cpuTime(b)
		push()
		used += cpuTime(b) - before
		if i%32 < 31 {
			continue
		}
		b.StopTimer()
		for _, c := range clients {
			if _, err := c.Read(room); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N*len(clients)), "cpu-ns/delivery")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
