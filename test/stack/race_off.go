//go:build !race

package stack

// raceEnabled reports whether the tests were built with -race; the binary then is too.
const raceEnabled = false
