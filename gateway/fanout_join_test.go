package gateway

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"wsfpm/gateway/bus"
	"wsfpm/session"
)

// slowBus is a bus whose Redis is up, and silent about one channel for as long
// as a join may wait.
type slowBus struct {
	Bus
	mu    *sync.Mutex
	until map[time.Time]int // joins that have waited, by their deadline
}

func (b slowBus) Join(ctx context.Context, names []session.Address) bool {
	if !slices.Contains(names, session.Channel("new")) {
		return true
	}
	b.mu.Lock()
	deadline, _ := ctx.Deadline()
	b.until[deadline]++
	b.mu.Unlock()
	<-ctx.Done()
	return false
}

func TestAJoinOfManyHoldsNobodyElseUp(t *testing.T) {
	const many = 12
	slow := slowBus{mu: &sync.Mutex{}, until: make(map[time.Time]int)}
	h := startOn(t, func(params map[string]string, _ string) (string, string) {
		return "WS-User: " + params["QUERY_STRING"], ""
	}, nil, func(b *bus.Bus) Bus { slow.Bus = b; return slow })
	for range many {
		h.dial("/?many", nil)
	}
	ann, bob := h.dial("/?ann", nil), h.dial("/?bob", nil)
	eventually(t, "all there", func() bool { return h.hub.Len() == many+2 })
	_, _ = h.Push(t.Context(), []session.Command{
		{To: []session.Address{session.User("many")}, Join: []string{"new"}},
		{To: []session.Address{session.User("ann"), session.User("bob")}, Message: session.NewMessage(false, []byte("hi"))},
	})
	ann.want("hi")
	bob.want("hi")
	slow.mu.Lock()
	defer slow.mu.Unlock()
	if workers := runtime.GOMAXPROCS(0); len(slow.until) == 0 || len(slow.until) > workers {
		t.Errorf("a push to others waited for joins of %d clients until %d different times, want one for each of %d workers", many, len(slow.until), workers)
	}
}
