package prefetch

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"unsafe"
)

// The hint changes nothing, and memory that may not be read is no fault: an object may end
// before the last line.
func TestTheHintChangesNothing(t *testing.T) {
	object := [3]uint64{1, 2, 3}
	for n := uintptr(1); n <= 1<<20; n *= 2 {
		First(&object, n)
	}
	First((*int)(nil), 4096)
	lines(unsafe.Pointer(&object), 1)
	if object != [3]uint64{1, 2, 3} {
		t.Fatal(object)
	}
}

// BenchmarkLocks locks objects that are in no cache, 32 in turn, with and without the hint.
func BenchmarkLocks(b *testing.B) {
	type object struct {
		mu    sync.Mutex
		value [31]uint64
	}
	const n, turn = 1 << 17, 32
	objects := make([]*object, n)
	for i := range objects {
		objects[i] = new(object)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
	for _, hint := range []bool{false, true} {
		b.Run(fmt.Sprintf("hint=%t", hint), func(b *testing.B) {
			at := 0
			for b.Loop() {
				some := objects[at : at+turn]
				if at += turn; at == n {
					at = 0
				}
				for _, o := range some {
					if hint {
						First(o, 256)
					}
				}
				for _, o := range some {
					o.mu.Lock()
					for i := 0; i < len(o.value); i += 8 {
						o.value[i]++
					}
					o.mu.Unlock()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*turn), "ns/object")
		})
	}
}
