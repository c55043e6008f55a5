package registry

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// sleeper is a node whose machine can be suspended.
type sleeper struct {
	*testNode
	slept atomic.Int64
}

func newSleeper(t *testing.T, s Store, name string) *sleeper {
	n := new(sleeper)
	n.testNode = newTestNodeBy(t, s, name, func() time.Duration { return time.Duration(n.slept.Load()) })
	return n
}

// A machine that slept knows by no timer of its own that others have taken over what was its.
func TestANodeThatSleptAsksBeforeItGoesOn(t *testing.T) {
	t.Log("contract-row: 8.paused")
	for name, c := range map[string]struct {
		slept   time.Duration
		expired bool // the tombstone is gone
	}{"for minutes": {5 * time.Minute, false}, "for longer than a tombstone lasts": {25 * time.Hour, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newModelStore()
				a := newSleeper(t, s, "A")
				one := a.enter("a1", "7", "lobby")
				pass(7 * time.Second)
				want(t, "an event before", a.Awake(t.Context(), one.e), true)
				s.mu.Lock() // what another node does meanwhile
				s.model.tombs["A1"] = "B1"
				s.model.unregister("A1", "a1")
				if c.expired {
					delete(s.model.tombs, "A1")
					delete(s.model.beats, "A1")
					delete(s.model.stamps, "A1")
				}
				s.mu.Unlock()
				a.slept.Add(int64(c.slept))
				want(t, "an event after their disconnect event", a.Awake(t.Context(), one.e), false)
				synctest.Wait()
				want(t, "claimed", a.told().claimed, 1)
				want(t, "name", a.Node(), "A2")
				pass(10 * time.Second)
				want(t, "lobby", s.members("channel:lobby"), "map[]")
				a.Close(t.Context())
			})
		})
	}
}

// A node that nothing has happened to goes on after one beat.
func TestANodeThatSleptAloneGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newModelStore()
		a, b := newSleeper(t, s, "A"), newTestNode(t, s, "B")
		one := a.enter("a1", "7")
		pass(7 * time.Second)
		want(t, "the other one", a.Dead("B1"), false)
		a.slept.Add(int64(time.Hour))
		want(t, "the other one at once after the sleep", a.Dead("B1"), false)
		want(t, "an event", a.Awake(t.Context(), one.e), true)
		pass(10 * time.Second)
		want(t, "the other one later", a.Dead("B1"), false)
		want(t, "claimed", a.told().claimed+b.told().claimed, 0)
		a.Close(t.Context())
		b.Close(t.Context())
	})
}
