package gateway

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/session"
)

// holdBus holds commands back until it is let go.
type holdBus struct {
	Bus
	goOn chan struct{}
	held sync.WaitGroup // of those that came
}

func (b *holdBus) Publish(ctx context.Context, c session.Command) error {
	if c.Close != nil || len(c.Leave) > 0 {
		b.held.Done()
		<-b.goOn
	}
	return b.Bus.Publish(ctx, c)
}

// startKick runs a gateway whose connect answers have the given commands; the answer to a
// message is its body.
func startKick(t *testing.T, commands string, clients int) (*harness, *holdBus) {
	t.Helper()
	held := &holdBus{goOn: make(chan struct{})}
	held.held.Add(clients)
	h := startOn(t, func(p map[string]string, body string) (string, string) {
		switch p["WS_EVENT"] {
		case "connect":
			return "Content-Type: application/vnd.wsfpm+json\r\nWS-User: 42\r\nWS-Join: seat", commands
		case "message":
			return "Content-Type: application/vnd.wsfpm+json", body
		}
		return "Status: 204", ""
	}, func(c *config.Config) {}, func(b *bus.Bus) Bus { held.Bus = b; return held })
	return h, held
}

func TestTheYoungerOfTwoThatCloseEachOtherIsLeft(t *testing.T) {
	t.Log("contract-row: 4.younger")
	h, held := startKick(t, `[{"to":"user:42","except":["self"],"close":{"code":4001}},{"data":"welcome"}]`, 2)
	older := h.dial("/", nil)
	older.want("welcome")
	younger := h.dial("/", nil)
	younger.want("welcome")
	held.held.Wait() // both can be found, and neither command has been heard
	close(held.goOn)
	older.wantClose(4001)
	younger.send(`{"data":"still here"}`)
	younger.want("still here")
}

func TestTheYoungerOfTwoThatTakeASeatKeepsIt(t *testing.T) {
	h, held := startKick(t, `[{"to":"user:42","except":["self"],"leave":["seat"],"data":"taken"},{"data":"welcome"}]`, 2)
	older := h.dial("/", nil)
	older.want("welcome")
	younger := h.dial("/", nil)
	younger.want("welcome")
	held.held.Wait()
	close(held.goOn)
	older.want("taken")
	younger.send(`{"to":"channel:seat","data":"who sits?"}`)
	younger.want("who sits?")
	older.send(`{"data":"nothing else came"}`)
	older.want("nothing else came")
}

func TestAMessagesCloseReachesEveryMember(t *testing.T) {
	h, held := startKick(t, `{"data":"welcome"}`, 1)
	close(held.goOn)
	older := h.dial("/", nil)
	older.want("welcome")
	younger := h.dial("/", nil)
	younger.want("welcome")
	older.send(`[{"to":"user:42","except":["self"],"close":{"code":4001}},{"data":"done"}]`)
	younger.wantClose(4001)
	older.want("done")
}

// The clock of a node may be slow. A client that connected long ago is not spared.
func TestAnotherNodesClockSparesClientsBriefly(t *testing.T) {
	h, held := startKick(t, `{"data":"welcome"}`, 2)
	close(held.goOn)
	there := h.dial("/", nil)
	there.want("welcome")
	h.hub.Find([]session.Address{session.User("42")})[0].CameIn(time.Now().Add(-time.Minute).UnixNano())
	now := h.dial("/", nil)
	now.want("welcome")
	behind := time.Now().Add(-time.Hour).UnixNano()
	c := session.Command{To: []session.Address{session.User("42")}, Close: &session.Close{Code: 4001}, Before: behind}
	if err := h.Gateway.bus.Publish(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	there.wantClose(4001)
	now.send(`{"data":"still here"}`)
	now.want("still here")
}

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

// A reply that changes no membership does not wait for Redis when a command does.
func TestAPlainReplyDoesNotWaitForACommandThatJoins(t *testing.T) {
	slow := slowBus{release: make(chan struct{})}
	h := startOn(t, echo, nil, func(b *bus.Bus) Bus { slow.Bus = b; return slow })
	release := sync.OnceFunc(func() { close(slow.release) })
	defer release()
	p := h.dial("/", nil)
	p.send("a")
	p.want("a")
	_, err := h.Push(t.Context(), []session.Command{{To: []session.Address{session.All}, Join: []string{"new"}, Message: session.NewMessage(false, []byte("in"))}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command to wait for Redis", func() bool { return waitsIn("gateway.slowBus.Join") })
	p.send("b")
	p.want("b")
	release()
	p.want("in")
}

func TestPushWithLeaveEscapesQueueBound(t *testing.T) {
	h := start(t, func(map[string]string, string) (string, string) { return "WS-User: u", "" }, nil)
	h.dial("/", nil) // never reads
	eventually(t, "there", func() bool { return h.hub.Len() == 1 })
	data := strings.Repeat("x", 1<<20)
	for range 64 {
		c := session.Command{To: []session.Address{session.User("u")}, Leave: []string{"nowhere"}, Message: session.NewMessage(false, []byte(data))}
		if _, err := h.Push(t.Context(), []session.Command{c}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the client that never reads to be closed", func() bool { return h.Stats().Socket.SlowReaders == 1 })
	for c := range h.Connections() {
		if c.Queued > 8<<20 {
			t.Errorf("%d MiB wait for one client, limits.queue is 1 MiB; slow readers: %d", c.Queued>>20, h.Stats().Socket.SlowReaders)
		}
	}
}

func TestMoveChecksTheAddressUnderTheLock(t *testing.T) {
	h := start(t, func(map[string]string, string) (string, string) { return "WS-Join: secret", "" }, nil)
	p := h.dial("/", nil)
	eventually(t, "there", func() bool { return h.hub.Len() == 1 })
	s := h.hub.Find([]session.Address{session.All})[0]
	s.LockChanges() // an answer that leaves "secret" waits for Redis
	done := make(chan bool)
	go func() {
		done <- h.move(t.Context(), s, &session.Command{To: []session.Address{session.Channel("secret")}, Join: []string{"x"}, Message: session.NewMessage(false, []byte("for secret only"))})
	}()
	eventually(t, "the command to wait for the membership", func() bool { return waitsIn("session.(*Session).LockChanges") })
	if err := h.hub.Set(s, session.Membership{}, session.NewMessage(false, []byte("you have left"))); err != nil {
		t.Fatal(err)
	}
	s.UnlockChanges()
	if <-done {
		t.Errorf("a client that has left the channel was meant; membership %v", s.Membership().Channels)
	}
	if err := s.Reply(session.NewMessage(false, []byte("the next"))); err != nil {
		t.Fatal(err)
	}
	p.want("you have left")
	p.want("the next")
}
