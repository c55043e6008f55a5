package redis

import (
	"testing"

	"go.uber.org/goleak"

	"wsfpm/test/stack"
)

func TestMain(m *testing.M) {
	// After failed dials go-redis tries again every second, until it finds the client closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// servers are the URLs of an embedded Redis and, in integration tests, of a real one.
func servers(t *testing.T) map[string]string {
	t.Helper()
	e, err := StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	urls := map[string]string{"embedded": "redis://" + e.Addr() + "/2"}
	if stack.Enabled() {
		urls["real"] = "redis://" + stack.Redis(t, stack.RedisOptions{}).Addr + "/2"
	}
	return urls
}

// newStore makes a client that is closed with the test.
func newStore(t *testing.T, url string) *Client {
	t.Helper()
	c, err := NewStore(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func openReader(t *testing.T, c *Client, key string) *Reader {
	t.Helper()
	r, err := c.OpenReader(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}
