package ws

import (
	"io"
	"strings"
	"testing"

	"wsfpm/gateway/out"
)

func BenchmarkQueueAndFlush(b *testing.B) {
	for _, network := range []string{"unix", "tcp"} {
		b.Run(network, func(b *testing.B) {
			c, p := pair(b, network, Limits{Out: out.Limits{QueueLimit: 64 << 10}})
			go io.Copy(io.Discard, p.Conn)
			m := text(strings.Repeat("x", 64))
			b.ReportAllocs()
			for b.Loop() {
				if err := c.QueueReply(m); err != nil {
					b.Fatal(err)
				}
				c.Flush()
				if err := c.Drained(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, network := range []string{"unix", "tcp"} {
		b.Run(network, func(b *testing.B) {
			c, p := pair(b, network, Limits{MessageLimit: 1 << 20})
			one := masked(0x81, strings.Repeat("x", 64))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Write(one); err != nil {
					b.Fatal(err)
				}
				if _, err := c.Read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadLarge(b *testing.B) {
	const size = 1 << 20
	c, p := pair(b, "unix", Limits{MessageLimit: size})
	one := masked(0x82, strings.Repeat("x", size))
	go func() {
		for {
			if _, err := p.Write(one); err != nil {
				return
			}
		}
	}()
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Read(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadParked is BenchmarkRead for a client that has been silent: its
// message wakes the owner, and a pong lets the connection rest again.
func BenchmarkReadParked(b *testing.B) {
	for _, network := range []string{"unix", "tcp"} {
		b.Run(network, func(b *testing.B) {
			c, p := pair(b, network, Limits{MessageLimit: 1 << 20})
			r := newReader(c)
			<-r.parked
			both := append(masked(0x81, strings.Repeat("x", 64)), masked(0x8a, "")...)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Write(both); err != nil {
					b.Fatal(err)
				}
				<-r.messages
				<-r.parked
			}
		})
	}
}
