//go:build amd64 || arm64

package prefetch

import "unsafe"

// lines is First for n cache lines, n > 0.
//
//go:noescape
func lines(p unsafe.Pointer, n uintptr)
