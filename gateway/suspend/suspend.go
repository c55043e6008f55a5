// Package suspend measures time that goes on while the machine is suspended. The clock of
// package time stands still then (CLOCK_MONOTONIC), so that a node which slept for an hour
// would believe that it has just spoken to the others.
//
//	began := suspend.Now()
//	…
//	age := began.Since()
//
// A virtual machine that its host has stopped does not know of it: no clock of it goes on.
package suspend

import "time"

// Clock returns for how long the machine has been suspended since it was started. The zero
// value of a Time uses [Slept].
type Clock func() time.Duration

// Time is an instant.
type Time struct {
	at    time.Time
	slept time.Duration // until then
}

// Now returns the present by a clock of suspensions; nil: [Slept].
func (c Clock) Now() Time { return Time{time.Now(), c.slept()} }

// Since returns the time since t, which the same clock has returned, with that of suspensions.
func (c Clock) Since(t Time) time.Duration { return c.Now().Sub(t) }

// Sub returns the time from u to t, of the same clock, with that of suspensions.
func (t Time) Sub(u Time) time.Duration { return t.at.Sub(u.at) + t.slept - u.slept }

func (c Clock) slept() time.Duration {
	if c == nil {
		return Slept()
	}
	return c()
}
