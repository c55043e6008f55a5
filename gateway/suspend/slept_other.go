//go:build !linux

package suspend

import "time"

// Slept returns 0: suspensions are not measured here.
func Slept() time.Duration { return 0 }
