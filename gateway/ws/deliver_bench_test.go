package ws

import (
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsfpm/gateway/delivery"
	"wsfpm/session"
)

// BenchmarkDeliver is a push of 100 bytes to a channel of 2,000 sockets, beside bare writes to
// as many by a goroutine for each CPU: what a delivery costs at least. It reports CPU time.
func BenchmarkDeliver(b *testing.B) {
	const n = 2000
	payload := []byte(strings.Repeat("x", 100))
	b.Run("bare", func(b *testing.B) {
		servers, clients := manySockets(b, n)
		frame := append([]byte{0x81, 100}, payload...)
		measureDelivery(b, clients, func() {
			var writers sync.WaitGroup
			for part := range slices.Chunk(servers, n/runtime.GOMAXPROCS(0)) {
				writers.Go(func() {
					for _, s := range part {
						if _, err := s.Write(frame); err != nil {
							b.Error(err)
						}
					}
				})
			}
			writers.Wait()
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
		want, look := int64(0), time.NewTicker(time.Millisecond)
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

// manySockets connects n clients, bare descriptors that Go's poller does not know.
func manySockets(b *testing.B, n int) (servers []net.Conn, clients []int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	to := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: l.Addr().(*net.TCPAddr).Port}
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = unix.Close(fd) })
		if err := unix.Connect(fd, to); err != nil {
			b.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.Close() })
		servers, clients = append(servers, s), append(clients, fd)
	}
	return servers, clients
}

// measureDelivery repeats a push. What has come is read now and then, outside of the measurement.
func measureDelivery(b *testing.B, clients []int, push func()) {
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
			if n, err := unix.Read(c, room); n <= 0 {
				b.Fatal(n, err)
			}
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N*len(clients)), "cpu-ns/delivery")
}

func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
