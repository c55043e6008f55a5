package registry

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
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
