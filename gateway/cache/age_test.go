package cache

import (
	"testing"
	"testing/synctest"
	"time"
)

// The age counts from the beginning of the run: PHP may have read its data then.
func TestTheTimeOfTheRunIsPartOfTheAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := question("prices")
		w.run(q).Store(message("1"), time.Minute, nil)
		run := w.run(q)
		time.Sleep(40 * time.Second)
		run.Store(message("2"), time.Minute, nil)
		w.answered(q, "2")
		time.Sleep(20 * time.Second)
		w.run(q).Close()
	})
}

// A machine that was suspended has answers that are older than the clock of package time says.
func TestTheTimeOfASuspensionIsPartOfTheAge(t *testing.T) {
	var slept time.Duration
	w := newWorld(t)
	w.clock = func() time.Duration { return slept }
	q := question("prices")
	w.twice(q, "1", time.Minute)
	slept += 30 * time.Second
	w.answered(q, "1")
	slept += 30 * time.Second
	w.run(q).Close()
}
