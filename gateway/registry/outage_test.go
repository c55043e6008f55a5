package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/gateway/redis"
)

// What changes again and again does not put the time off at which changes are written.
func TestAChangeIsWrittenWithinASecondHoweverManyFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newModelStore()
		a := newTestNode(t, s, "A")
		a.SetPresence(&Presence{})
		busy, quiet := a.enter("a1", "7"), a.enter("a2", "8")
		pass(10 * time.Second)
		a.change(quiet, "8", "lobby")
		for i := range 5 {
			a.change(busy, "7", fmt.Sprint("room", i))
			pass(changeTime / 4)
		}
		s.mu.Lock()
		record := s.model.records["A1"]["a2"].text
		s.mu.Unlock()
		if !strings.Contains(record, "lobby") {
			t.Errorf("got the record %q, want the channel in it", record)
		}
		a.Close(t.Context())
	})
}

// While Redis is away for hours, connections come and go.
func TestAConnectionThatEndsDuringAnOutageIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newModelStore()
		a := newTestNode(t, s, "A")
		stays := a.enter("stays", "7")
		pass(10 * time.Second)
		s.set(true)
		pass(10 * time.Second)
		a.change(stays, "8")
		var dropped *conn
		for i := range 5000 {
			dropped = a.enter(fmt.Sprint("a", i), "7")
			a.Drop(dropped.e)
			a.Leave(t.Context(), a.enter(fmt.Sprint("b", i), "7").e)
		}
		a.mu.Lock()
		queued, held := len(a.queue), dropped.e.describe != nil
		a.mu.Unlock()
		if queued > 2*bite || held {
			t.Errorf("%d connections wait to be written, and one that was dropped is held: %v; want the one that is there", queued, held)
		}
		s.set(false)
		pass(5 * time.Second)
		want(t, "presence after the outage", s.members("user:7")+s.members("user:8"), "map[]map[conn:stays:1]")
		a.Close(t.Context())
	})
}

// refusing is a Redis that refuses to remove records, for the first thousand round trips.
type refusing struct {
	*modelStore
	why error
}

func (s *refusing) Pipeline(ctx context.Context, commands ...[]any) (replies []redis.Reply) {
	for _, c := range commands {
		if s.count() <= 1000 && c[1] == (Script{"", unregisterText}).hash() {
			replies = append(replies, redis.Reply{Err: s.why})
			continue
		}
		replies = append(replies, s.modelStore.Pipeline(ctx, c)...)
	}
	return replies
}

func TestAnErrorThatStaysIsNotAskedForWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &refusing{newModelStore(), errors.New("NOPERM this user has no permissions to run the 'hdel' command")}
		a := newTestNode(t, s, "A")
		a.Drop(a.enter("a1", "7").e)
		before := s.count()
		pass(10 * time.Second)
		if n := s.count() - before; n > 500 {
			t.Errorf("%d round trips in 10 s, want a few each tenth of a second", n)
		}
		want(t, "records to be removed", a.Stats().Forgetting, 1)
		a.Close(t.Context())
	})
}

// Records whose removal waits are no surprise to the comparison.
func TestRecordsThatWaitToBeRemovedAreNotRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newModelStore()
		a := newTestNode(t, s, "A")
		var list []*conn
		for i := range 3 * bite {
			list = append(list, a.enter(fmt.Sprint("a", i), "7"))
		}
		pass(10 * time.Second)
		s.set(true)
		pass(10 * time.Second)
		for _, c := range list {
			a.Leave(t.Context(), c.e)
		}
		s.set(false)
		pass(10 * time.Second)
		want(t, "records in Redis", s.members("user:7"), "map[]")
		want(t, "records repaired", a.Stats().Repaired, 0)
		a.Close(t.Context())
	})
}

// A connection of which Redis has no record does not wait among those to be removed.
func TestOnlyARecordThatRedisMayHaveIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newModelStore()
		a := newTestNode(t, s, "A")
		first := a.enter("first", "7")
		pass(10 * time.Second)
		s.set(true)
		pass(10 * time.Second)
		for i := range 200 {
			a.Drop(a.enter(fmt.Sprint("a", i), "7").e)
		}
		a.Drop(first.e)
		want(t, "records to be removed", a.Stats().Forgetting, 1)
		s.set(false)
		pass(5 * time.Second)
		want(t, "presence after the outage", s.members("user:7"), "map[]")
		a.Close(t.Context())
	})
}
