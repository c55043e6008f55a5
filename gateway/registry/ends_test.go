package registry

import (
	"context"
	"fmt"
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

// A node whose last beat did not go through cannot know that the holder of a claim is dead.
func TestANodeTakesNoClaimOverWithoutABeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newModelStore()
		dead := newTestNode(t, s, "D")
		dead.enter("d1", "7")
		var a *Registry
		lives, lost, made := 0, make(chan *Lost, 1), make(chan struct{})
		claimed := func() {
			time.AfterFunc(beatRest/2, func() {
				l := <-lost // a is there since
				a.LostOver(l)
			})
		}
		a = New(Config{Store: s, Prefix: "x:", Name: func() string { lives++; return fmt.Sprint("A", lives) }, Timeout: time.Second, Claimed: claimed,
			Lost: func(l *Lost) { <-made; lost <- l }})
		close(made)
		pass(time.Minute)
		close(dead.stop)
		dead.loops.Wait()
		pass(time.Minute)
		b := newTestNode(t, s, "B")
		pass(10 * time.Second)
		s.mu.Lock() // b has taken this node for dead, and over what it had claimed
		s.model.tombs["A1"], s.model.tombs["D1"] = "B1", "B1"
		s.mu.Unlock()
		pass(beatTime + beatRest/2)
		s.mu.Lock()
		holder := s.model.tombs["D1"]
		s.mu.Unlock()
		want(t, "the claim is held by", holder, "B1")
		a.Close(t.Context())
		b.Close(t.Context())
	})
}
