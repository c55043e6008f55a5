package session

import (
	"fmt"
	"strings"
	"testing"
)

// sink takes everything and keeps nothing.
type sink struct{}

func (sink) Prefetch()                 {}
func (sink) Queue(*Message) error      { return nil }
func (sink) QueueReply(*Message) error { return nil }
func (sink) Flush()                    {}
func (sink) Close(int, string)         {}

// crowdedHub is a hub in which everybody is in the channel "all", in one of
// ten rooms, and in a channel of their own.
func crowdedHub(b *testing.B, n int) *Hub {
	b.Helper()
	h := NewHub()
	for i := range n {
		s := New(fmt.Sprintf("web1-%06d", i), sink{})
		own := Membership{User: fmt.Sprint(i), Channels: []string{"site", fmt.Sprintf("room-%d", i%10), fmt.Sprintf("own-%d", i)}}
		if err := h.Add(s, own); err != nil {
			b.Fatal(err)
		}
	}
	return h
}

// BenchmarkFanOut finds the members of a channel and hands each the same
// message, sockets aside.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := crowdedHub(b, n)
			c := &Command{To: []Address{Channel("site")}, Message: NewMessage(false, []byte(strings.Repeat("x", 100)))}
			b.ReportAllocs()
			for b.Loop() {
				delivered := 0
				for _, s := range h.Find(c.To) {
					if meant, err := s.Deliver(c); meant && err == nil {
						delivered++
					}
				}
				if delivered != n {
					b.Fatalf("delivered to %d of %d", delivered, n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/delivery")
		})
	}
}

// BenchmarkAddAndRemove is a client that comes to a crowded process and leaves.
func BenchmarkAddAndRemove(b *testing.B) {
	h := crowdedHub(b, 10_000)
	own := Membership{User: "42", Channels: []string{"site", "room-1", "own-42"}}
	b.ReportAllocs()
	for b.Loop() {
		s := New("web1-new", sink{})
		if err := h.Add(s, own); err != nil {
			b.Fatal(err)
		}
		if left := h.Remove(s); len(left) != 5 {
			b.Fatalf("gave up %v", left)
		}
	}
}

// BenchmarkDecode reads one command as a publisher writes it.
func BenchmarkDecode(b *testing.B) {
	text := []byte(`{"to":["channel:orders","user:42"],"except":["conn:web1-000001"],"data":{"order":17,"state":"shipped"}}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, _, err := Decode(text, FromPush); err != nil {
			b.Fatal(err)
		}
	}
}
