// Package prefetch gives the processor a hint to load memory into its cache before it is
// needed, for loops over many objects that were not used for a while:
//
//	for _, s := range sessions {
//		prefetch.First(s, 128)
//	}
//	for _, s := range sessions {
//		s.work() // waits for memory less often: the loads above ran at the same time
//	}
//
// An atomic operation, such as that of a mutex, waits for all loads before it. Without the
// hint a loop that locks each object therefore waits for the memory of one after another.
package prefetch

import "unsafe"

// line is the size of a cache line, in bytes.
const line = 64

// First gives the hint for the first n bytes of *p, n > 0. It reads nothing, so it needs no
// lock. It does nothing on processors other than amd64 and arm64.
func First[T any](p *T, n uintptr) { lines(unsafe.Pointer(p), (n+line-1)/line) }
