package bus

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"wsfpm/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds the wait for a condition.
const patience = time.Minute

// testBus is a Bus with the commands that it has received.
type testBus struct {
	*Bus
	ear   chan session.Command // without room: a test reads when it likes
	waits atomic.Int64         // commands that found no room at once
	gaps  atomic.Int64         // commands that purge everything, which are not in ear
}

// newTestBus starts a Bus that ends with the test.
func newTestBus(t testing.TB, cfg Config) *testBus {
	t.Helper()
	made, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &testBus{Bus: made, ear: make(chan session.Command, heardRoom)}
	b.Listen(b.take)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

// heardRoom is the capacity for received commands.
const heardRoom = 16

// take stores a command for the test.
func (b *testBus) take(c *session.Command) (wait func(context.Context) error) {
	if len(c.To) == 0 && c.Purge[0] == session.PurgeAll {
		b.gaps.Add(1)
		return nil
	}
	select {
	case b.ear <- *c:
		return nil
	default:
	}
	b.waits.Add(1)
	return func(ctx context.Context) error {
		select {
		case b.ear <- *c:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// newServer starts a Redis-compatible server and a client of it.
func newServer(t testing.TB) (*miniredis.Miniredis, *redis.Client) {
	t.Helper()
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server, newPublisher(t, "redis://"+server.Addr())
}

// newPublisher is some other program that publishes.
func newPublisher(t testing.TB, url string) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// eventually waits until condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func waitReady(t testing.TB, b *testBus) {
	t.Helper()
	eventually(t, "ready", func() bool { return b.Ready() == nil })
}

// waitNotReady waits until the Bus notices that something is wrong.
func waitNotReady(t testing.TB, b *testBus) error {
	t.Helper()
	var err error
	eventually(t, "not ready", func() bool { err = b.Ready(); return err != nil })
	return err
}

// next is the next command that b hears.
func next(t testing.TB, b *testBus) session.Command {
	t.Helper()
	select {
	case c := <-b.ear:
		return c
	case <-time.After(patience):
		t.Fatalf("no command within %v; stats %+v", patience, b.Stats())
	}
	return session.Command{}
}

// nothingBefore fails the test if b hears anything before a marker that it
// publishes now.
func nothingBefore(t testing.TB, b *testBus, marker string) {
	t.Helper()
	if err := b.Publish(context.Background(), text(session.All, marker)); err != nil {
		t.Fatal(err)
	}
	if got := string(next(t, b).Message.Data()); got != marker {
		t.Fatalf("heard %q, want nothing", got)
	}
}

func text(to session.Address, data string) session.Command {
	return session.Command{To: []session.Address{to}, Message: session.NewMessage(false, []byte(data))}
}

// count is what Redis answers to PUBLISH.
func count(t testing.TB, c *redis.Client, channel string) int64 {
	t.Helper()
	n, err := c.Publish(context.Background(), channel, "x").Result()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func mustJoin(t testing.TB, b *testBus, names ...session.Address) {
	t.Helper()
	if !b.Join(context.Background(), names) {
		t.Fatalf("join of %v not confirmed; ready says %v", names, b.Ready())
	}
}

func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}
