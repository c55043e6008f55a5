package registry

import (
	"testing"
	"time"
)

// beats has a node beat for a while, and another one that stops after some of it.
func beats(s *silence, l *lease, from, until, stops time.Duration) {
	for now := from; now <= until; now += beatTime {
		list := map[string]string{"me": now.String()}
		if now <= stops {
			list["other"] = now.String()
		}
		l.look(now, list)
		s.beat(now, l.seen)
	}
}

func TestANodeIsDeadAfterTheTimeOfTheLease(t *testing.T) {
	s, l := newSilence(), newLease("me")
	beats(&s, l, 0, time.Minute, time.Minute)
	if s.dead(time.Minute, "other") || s.dead(time.Minute, "unknown") {
		t.Error("dead, though it beats or was never asked for")
	}
	beats(&s, l, time.Minute+beatTime, time.Minute+leaseTime, time.Minute)
	now := time.Minute + leaseTime
	if s.dead(now-1, "other") {
		t.Error("dead before the lease was over")
	}
	if !s.dead(now, "other") || !s.dead(now, "unknown") {
		t.Error("alive after the lease was over")
	}
	if s.dead(now, "me, begun again") {
		t.Error("dead at the first question")
	}
	if !s.dead(now+breakTime, "other") || s.dead(now+breakTime+1, "other") {
		t.Error("a late beat of our own: want an answer for the length of a break")
	}
}

func TestNoNodeIsDeadWhileOurOwnBeatsFail(t *testing.T) {
	s, l := newSilence(), newLease("me")
	beats(&s, l, 0, time.Minute, 0)
	if !s.dead(time.Minute, "other") {
		t.Error("alive after a minute of silence")
	}
	s.failed()
	if s.dead(time.Minute, "other") {
		t.Error("dead after a beat of ours failed")
	}
	beats(&s, l, 2*time.Minute, 2*time.Minute+leaseTime-beatTime, 0)
	if s.dead(2*time.Minute+leaseTime-1, "other") {
		t.Error("dead before our beats went through for the time of the lease")
	}
	beats(&s, l, 2*time.Minute+leaseTime, 2*time.Minute+leaseTime, 0)
	if !s.dead(2*time.Minute+leaseTime, "other") {
		t.Error("alive though our beats went through for the time of the lease")
	}
	beats(&s, l, 4*time.Minute, 4*time.Minute, 0) // a pause of the process
	if s.dead(4*time.Minute, "other") {
		t.Error("dead right after a pause of our own")
	}
}

func TestNodesAreForgotten(t *testing.T) {
	s, l := newSilence(), newLease("me")
	beats(&s, l, 0, time.Minute, 0)
	for range 2 * mostSilent {
		s.dead(time.Minute, time.Duration(len(s.changed)).String())
	}
	if len(s.changed) != mostSilent {
		t.Errorf("%d nodes are remembered", len(s.changed))
	}
	beats(&s, l, time.Hour, time.Hour, 0)
	if len(s.changed) != 0 {
		t.Errorf("%d nodes are remembered after an hour", len(s.changed))
	}
}
