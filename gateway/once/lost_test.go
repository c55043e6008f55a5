package once

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// silent is a store that executes its first claims and replacements, and whose replies to
// them are lost.
type silent struct {
	*memory
	claims, replaces int
}

func (s *silent) Replace(ctx context.Context, key, old, next string, ttl time.Duration) (string, error) {
	found, err := s.memory.Replace(ctx, key, old, next, ttl)
	if s.replaces > 0 {
		s.replaces--
		return "", errDown
	}
	return found, err
}

func (s *silent) Claim(ctx context.Context, key, value string, ttl time.Duration) (string, error) {
	found, err := s.memory.Claim(ctx, key, value, ttl)
	if s.claims > 0 {
		s.claims--
		return "", errDown
	}
	return found, err
}

// The second claim finds the value of the first one: it is no other request's.
func TestAClaimWhoseReplyIsLostIsTheFirstAttempt(t *testing.T) {
	g, _ := newGuard(&silent{memory: newMemory(), claims: 1}, "a")
	end(t, permitted(t, g, false), Refused)
	if got, want := g.Stats(), (Stats{First: 1, Errors: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAnOutcomeWhoseReplyIsLostIsKept(t *testing.T) {
	g, _ := newGuard(&silent{memory: newMemory(), replaces: 1}, "a")
	if !end(t, permitted(t, g, false), Answered, text("paid")) {
		t.Error("not kept")
	}
}

// The other process's run is refused while this one waits, so that nothing has happened.
func TestARunThatIsRefusedElsewhereLetsTheFirstAttemptGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		a, _ := newGuard(s, "a")
		b, _ := newGuard(s, "b")
		run := permitted(t, a, false)
		time.AfterFunc(time.Second, func() { end(t, run, Refused) })
		end(t, permitted(t, b, false), Refused)
	})
}

// A run that is made sure of after a pause lasts as long as any from then on.
func TestARunThatWasConfirmedIsNotOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		a, _ := newGuard(s, "a")
		b, _ := newGuard(s, "b")
		run := permitted(t, a, false)
		time.Sleep(time.Minute / 2) // longer than Config.Fresh
		if err := run.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if other, v := b.Ask(t.Context(), message("pay")); other != nil || v.Kind != Busy {
			t.Errorf("got %v, %+v, want a run that still goes on", other, v)
		}
		end(t, run, Refused)
	})
}

// The permission is as old as the question, not as its answer.
func TestASlowReplyMakesAPermissionOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		s.slow = time.Minute / 2 // longer than Config.Fresh
		g, _ := newGuard(s, "a")
		run := permitted(t, g, false)
		if err := run.Ready(t.Context()); err != nil || s.calls != 2 {
			t.Errorf("got %v after %d calls, want 2", err, s.calls)
		}
		end(t, run, Refused)
	})
}

// A suspended machine has missed that another one took the message over.
func TestASuspensionMakesAPermissionOld(t *testing.T) {
	s, slept := newMemory(), time.Duration(0)
	g, _ := newGuard(s, "a")
	g.cfg.clock = func() time.Duration { return slept }
	run := permitted(t, g, false)
	slept = time.Minute
	if err := run.Ready(t.Context()); err != nil || s.calls != 2 {
		t.Errorf("got %v after %d calls, want 2", err, s.calls)
	}
	end(t, run, Refused)
}
