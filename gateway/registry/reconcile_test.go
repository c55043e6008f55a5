package registry

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/gateway/redis"
)

// paged is a Redis that scans a hash in parts, as it does when the hash is large.
type paged struct{ *modelStore }

func (s paged) Do(ctx context.Context, args ...any) (any, error) {
	reply, err := s.modelStore.Do(ctx, args...)
	if err != nil || args[0] != "hscan" {
		return reply, err
	}
	var ids []string
	record := make(map[string]any)
	all := reply.([]any)[1].([]any)
	for i := 0; i < len(all); i += 2 {
		id := all[i].(string)
		ids, record[id] = append(ids, id), all[i+1]
	}
	slices.Sort(ids)
	at := int(args[2].(uint64))
	ids = ids[min(at, len(ids)):]
	next := at + bite
	if len(ids) <= bite {
		next = 0
	}
	pairs := []any{}
	for _, id := range ids[:min(len(ids), bite)] {
		pairs = append(pairs, id, record[id])
	}
	return []any{fmt.Sprint(next), pairs}, nil
}

func TestWhatAFailoverHasLostIsThereAgainWithinAMinute(t *testing.T) {
	t.Log("contract-row: 8.presence")
	for _, n := range []int{30, 499, 3000} {
		synctest.Test(t, func(t *testing.T) {
			s := paged{newModelStore()}
			a := newTestNode(t, s, "A")
			for i := range n {
				a.enter(fmt.Sprint("a", i), "7")
			}
			pass(time.Minute)
			for _, when := range []time.Duration{0, 7 * time.Second, 13 * time.Second} {
				pass(when)
				s.mu.Lock()
				for i := range 10 {
					s.model.unregister("A1", fmt.Sprint("a", i*n/10))
				}
				s.mu.Unlock()
				pass(time.Minute)
				s.mu.Lock()
				counted := len(s.model.presence["user:7"])
				s.mu.Unlock()
				want(t, fmt.Sprint("connections of ", n), counted, n)
			}
			a.Close(t.Context())
		})
	}
}

// late is a Redis in which the record of a connection arrives after a scan has been answered,
// and before its answer is read.
type late struct {
	*modelStore
	entering atomic.Bool
	scanned  chan struct{} // closed at the next scan
	arrived  chan struct{}
}

func (s *late) Pipeline(ctx context.Context, commands ...[]any) []redis.Reply {
	if commands[0][1] == (Script{"", registerText}).hash() && s.entering.Load() {
		<-s.scanned
	}
	return s.modelStore.Pipeline(ctx, commands...)
}

func (s *late) Do(ctx context.Context, args ...any) (any, error) {
	reply, err := s.modelStore.Do(ctx, args...)
	if args[0] == "hscan" && s.entering.CompareAndSwap(true, false) {
		close(s.scanned)
		<-s.arrived
	}
	return reply, err
}

func TestARecordThatArrivesDuringAScanIsNotRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &late{modelStore: newModelStore(), scanned: make(chan struct{}), arrived: make(chan struct{})}
		a := newTestNode(t, s, "A")
		pass(time.Second)
		s.entering.Store(true)
		go func() {
			a.enter("slow", "7")
			close(s.arrived)
		}()
		synctest.Wait()
		signal(a.beatNow)
		pass(time.Second)
		want(t, "presence", s.members("user:7"), "map[conn:slow:1]")
		want(t, "records repaired", a.Stats().Repaired, 0)
		a.Close(t.Context())
	})
}
