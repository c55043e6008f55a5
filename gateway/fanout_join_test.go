package gateway

import (
	"context"
	"slices"
	"testing"

	"wsfpm/gateway/bus"
	"wsfpm/session"
)

// slowBus is a bus whose Redis is up, and silent about one channel until it is
// released.
type slowBus struct {
	Bus
	release chan struct{}
}

func (b slowBus) Join(_ context.Context, names []session.Address) bool {
	if slices.Contains(names, session.Channel("new")) {
		<-b.release
	}
	return true
}

func TestACommandThatJoinsHoldsNoOtherClientUp(t *testing.T) {
	const many = 12
	slow := slowBus{release: make(chan struct{})}
	h := startOn(t, func(params map[string]string, _ string) (string, string) {
		return "WS-User: " + params["QUERY_STRING"], ""
	}, nil, func(b *bus.Bus) Bus { slow.Bus = b; return slow })
	var joining []*peer
	for range many {
		joining = append(joining, h.dial("/?many", nil))
	}
	ann, bob := h.dial("/?ann", nil), h.dial("/?bob", nil)
	eventually(t, "all there", func() bool { return h.hub.Len() == many+2 })
	_, err := h.Push(t.Context(), []session.Command{
		{To: []session.Address{session.User("many")}, Join: []string{"new"}, Message: session.NewMessage(false, []byte("in"))},
		{To: []session.Address{session.All}, Message: session.NewMessage(false, []byte("hi"))},
	})
	if err != nil {
		t.Fatal(err)
	}
	ann.want("hi")
	bob.want("hi")
	close(slow.release)
	for _, p := range joining {
		p.want("in")
		p.want("hi")
	}
}
