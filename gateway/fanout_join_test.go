package gateway

import (
	"context"
	"testing"
	"time"

	"wsfpm/gateway/bus"
	"wsfpm/session"
)

type slowBus struct{ Bus }

func (slowBus) Join(ctx context.Context, names []session.Address) bool {
	for _, n := range names {
		if n == session.Channel("new") { // Redis is up and silent
			<-ctx.Done()
			return false
		}
	}
	return true
}

func TestAJoinOfManyHoldsNobodyElseUp(t *testing.T) {
	h := startOn(t, func(params map[string]string, _ string) (string, string) {
		return "WS-User: " + params["QUERY_STRING"], ""
	}, nil, func(b *bus.Bus) Bus { return slowBus{b} })
	for range 12 {
		h.dial("/?many", nil)
	}
	ann, bob := h.dial("/?ann", nil), h.dial("/?bob", nil)
	eventually(t, "all there", func() bool { return h.hub.Len() == 14 })
	_, _ = h.Push(t.Context(), []session.Command{
		{To: []session.Address{session.User("many")}, Join: []string{"new"}},
		{To: []session.Address{session.User("ann"), session.User("bob")}, Message: session.NewMessage(false, []byte("hi"))},
	})
	began := time.Now()
	ann.want("hi")
	bob.want("hi")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("a push to others waited %v behind a join of 12 clients", took.Round(100*time.Millisecond))
	}
}
