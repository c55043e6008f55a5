package registry

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"wsfpm/gateway/redis"
	"wsfpm/test/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eachServer runs a test on an embedded Redis and, in integration tests, on a real one.
func eachServer(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("embedded", func(t *testing.T) {
		e, err := redis.StartEmbedded("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.Close)
		test(t, "redis://"+e.Addr()+"/2")
	})
	t.Run("real", func(t *testing.T) {
		if !stack.Enabled() {
			t.Skip("needs redis-server: set WSFPM_INTEGRATION=1")
		}
		test(t, "redis://"+stack.Redis(t, stack.RedisOptions{}).Addr+"/2")
	})
}

func newClient(t testing.TB, url string) *redis.Client {
	t.Helper()
	c, err := redis.NewStore(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// do runs one command that must succeed.
func do(t testing.TB, s Store, args ...any) any {
	t.Helper()
	v, err := s.Do(context.Background(), args...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return v
}
