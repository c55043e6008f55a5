package once

import "sync/atomic"

// Stats counts the messages of a [Guard] since its start.
type Stats struct {
	First    int64 // runs that were the first attempt
	Second   int64 // runs that were not
	Answered int64 // answered from an earlier run
	Busy     int64 // refused for now
	Unknown  int64 // refused for a value that cannot be read
	Mismatch int64 // refused for an id that was used for other data
	Unstored int64 // outcomes of runs that could not be stored
	Errors   int64 // commands of the store without a reply
}

// counters are those of a Guard.
type counters struct {
	first, second, answered, busy, unknown, mismatch, unstored, errors atomic.Int64
}

// Stats returns the counters.
func (g *Guard) Stats() Stats {
	c := &g.stats
	return Stats{
		First: c.first.Load(), Second: c.second.Load(),
		Answered: c.answered.Load(), Busy: c.busy.Load(), Unknown: c.unknown.Load(), Mismatch: c.mismatch.Load(),
		Unstored: c.unstored.Load(), Errors: c.errors.Load(),
	}
}

// run counts a message that is run.
func (c *counters) run(second bool) {
	if second {
		c.second.Add(1)
		return
	}
	c.first.Add(1)
}

// verdict counts a message that is not run.
func (c *counters) verdict(k Kind) {
	switch k {
	case Answer:
		c.answered.Add(1)
	case Busy:
		c.busy.Add(1)
	case Unknown:
		c.unknown.Add(1)
	case Mismatch:
		c.mismatch.Add(1)
	}
}
