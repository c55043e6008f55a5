package once

import (
	"cmp"
	"context"
	"errors"

	"wsfpm/gateway/suspend"
)

var errTakenOver = errors.New("another process has taken the message over")

// Run is the permission to run a message. Its owner must call [Run.End], then [Run.Release].
type Run struct {
	// Second is set if an earlier run may have happened, wholly or in part.
	Second bool

	guard *Guard
	key   string
	most  int
	m     machine
	at    suspend.Time // of the last proof that the token is in the store
}

// carryOut carries out one step and returns the next.
func (run *Run) carryOut(ctx context.Context, do step) (step, error) {
	r, err := run.guard.command(ctx, run.key, do)
	return run.m.next(r, run.guard.cfg.Nodes.Dead), err
}

// Ready makes sure, right before the request is written, that no other process has taken
// the message over meanwhile, because this one was stopped. It costs nothing within
// Config.Fresh after Ask. If it returns an error, the message must not be run, and its outcome
// is Refused.
func (run *Run) Ready(ctx context.Context) error {
	if run.guard.cfg.clock.Since(run.at) < run.guard.cfg.Fresh {
		return nil
	}
	do := run.m.confirm()
	for do.do == doReplace {
		at := run.guard.cfg.clock.Now()
		var err error
		if do, err = run.carryOut(ctx, do); do.do == doEnd {
			return cmp.Or(err, errTakenOver)
		}
		run.at = at
	}
	return nil
}

// End stores the outcome of the run, with the answer's messages when it is Answered. It
// reports whether a repetition will get the answer. After an error the outcome may not be
// stored: a repetition is a second attempt. A later call replaces the outcome;
// [Run.Release] is the last one.
func (run *Run) End(ctx context.Context, o Outcome, answer []Message) (kept bool, err error) {
	do := run.m.finish(o, answer, run.most)
	for {
		r, err := run.guard.command(ctx, run.key, do)
		again, stored := run.m.stored(r)
		if again {
			continue
		}
		if !stored {
			run.guard.stats.unstored.Add(1)
			return false, cmp.Or(err, errTakenOver)
		}
		return o == Answered && size(answer) <= run.most, nil
	}
}

// Release lets other requests for the key go on. It must be called once, after End.
func (run *Run) Release() { run.guard.release(run.key) }
