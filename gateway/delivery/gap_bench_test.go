package delivery

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"wsfpm/session"
)

// counter is a sink that counts replies, which a gap is.
type counter struct {
	sink
	replies *atomic.Int64
}

func (c counter) QueueReply(*session.Message) error {
	c.replies.Add(1)
	return nil
}

// BenchmarkGap is the message of a gap to all sessions of a process, sockets aside.
func BenchmarkGap(b *testing.B) {
	const n = 100_000
	l := newLab(b)
	var told atomic.Int64
	gap := session.NewMessage(false, []byte("gap"))
	for i := range n {
		s := session.New(fmt.Sprint(i), counter{replies: &told})
		s.SetGap(gap)
		_ = l.hub.Add(s, session.Membership{Channels: []string{"room"}})
	}
	at := session.Position{Milli: 1, Tag: session.NoTag}
	b.ReportAllocs()
	for want := int64(n); b.Loop(); want += n {
		at.Milli++
		if wait := l.Gap(at, true); wait != nil {
			b.Fatal("the queues are full")
		}
		for told.Load() < want {
			runtime.Gosched()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/session")
}
