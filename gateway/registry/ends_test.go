package registry

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// The client has left while the node, paused until now, has not found its tombstone: no other
// node has the record, so none runs its disconnect event.
func TestAClaimedNodeRunsTheEventOfAConnectionThatWasNeverRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newModelStore()
		a := newTestNode(t, s, "A")
		pass(time.Second)
		s.mu.Lock()
		s.model.tombs["A1"] = "B1"
		s.mu.Unlock()
		left, leave := context.WithCancel(t.Context())
		leave()
		e := a.Enter(left, "a1", (&conn{}).info)
		want(t, "the event", a.Leave(t.Context(), e), Decision{Run: true})
		a.Close(t.Context())
	})
}

func TestANodeThatEndsRightAfterAnOutageLeavesNoRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newModelStore()
		a := newTestNode(t, s, "A")
		one, two := a.enter("a1", "7", "lobby"), a.enter("a2", "8", "lobby")
		pass(time.Second)
		s.set(true)
		want(t, "the first event", a.Leave(t.Context(), one.e), Decision{Run: true})
		want(t, "the second event", a.Leave(t.Context(), two.e), Decision{Run: true})
		synctest.Wait() // for a beat that fails
		s.set(false)    // and no beat has shown it
		a.Close(t.Context())
		want(t, "lobby", s.members("channel:lobby"), "map[]")
		want(t, "nodes", s.nodes(), 0)
	})
}

// Another node cannot have taken the new name for dead yet.
func TestAClaimedNodeRunsEventsUnderItsNewNameAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newModelStore()
		a := newTestNode(t, s, "A")
		pass(time.Minute)
		s.mu.Lock()
		s.model.tombs["A1"] = "B1"
		s.mu.Unlock()
		for a.told().claimed == 0 {
			pass(time.Millisecond)
		}
		e, began := a.enter("a1", "7").e, time.Now()
		want(t, "the event", a.Awake(t.Context(), e), true)
		want(t, "it waited for", time.Since(began), time.Duration(0))
		a.Close(t.Context())
	})
}
