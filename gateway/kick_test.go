package gateway

import (
	"context"
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

// startKick runs a gateway whose connect answers say the given commands, and
// whose messages do what is their body.
func startKick(t *testing.T, commands string, clients int) (*house, *holdBus) {
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

func TestAMessagesCloseSparesNobody(t *testing.T) {
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

// The clock of a node may be behind. A client that has been there for long is
// older than one that comes now, whatever the clocks say.
func TestAnotherNodesClockSparesNobodyForLong(t *testing.T) {
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
