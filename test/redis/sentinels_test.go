package redistest

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"wsfpm/test/stack"
)

// startStoredAt runs two nodes on a group, at those of its Sentinels that a URL names. What
// the test itself asks goes to the servers that it says.
func (g group) startStoredAt(t *testing.T, url string, sentinels ...string) *stored {
	t.Helper()
	return startStored(t, url, "ws:", redis.NewFailoverClient(&redis.FailoverOptions{MasterName: stack.SentinelGroup, SentinelAddrs: sentinels}))
}

func TestTwoOfThreeSentinelsAreEnough(t *testing.T) {
	t.Parallel()
	row(t, "5.redis-url", "3.log-gap")
	g := startGroupOf(t, groupOptions{sentinels: 3})
	g.sentinels[0].Kill() // the first that the URL names
	s := g.startStoredAt(t, g.named(g.addresses()...), g.addresses()[1:]...)
	s.checked()
	s.survive("the death of the master", g.master.Kill)
}

func TestASentinelThatDiesInUse(t *testing.T) {
	t.Parallel()
	row(t, "5.redis-url", "3.log-gap")
	g := startGroupOf(t, groupOptions{sentinels: 3})
	s := g.startStoredAt(t, g.named(g.addresses()[0]), g.addresses()[1:]...) // the others are found by it
	a := s.work("with all Sentinels")
	g.sentinels[0].Kill()
	s.append("channel:lobby", "still here")
	a.expect("still here")
	a.Cut()
	s.waitFor("0", "HLEN", "presence:user:42")
	s.survive("the death of the master", g.master.Kill)
}

func TestASentinelThatStandsStillAtTheStart(t *testing.T) {
	t.Parallel()
	row(t, "5.redis-url")
	g := startGroupOf(t, groupOptions{sentinels: 3})
	g.sentinels[0].Pause()
	s := g.startStoredAt(t, g.named(g.addresses()...), g.addresses()[1:]...)
	s.checked()
	s.work("beside a Sentinel that stands still").Cut()
	out, code := stack.Command(t, "push", "--redis", g.named(g.addresses()...), "all", "x")
	if code != 0 || !strings.Contains(out, "received by 2 processes") {
		t.Errorf("wsfpm push: exit code %d, %s", code, out)
	}
}

// The host of the master and of the Sentinel that wsfpm asks loses its power: no connection to
// either is closed.
func TestTheLossOfAHostWithMasterAndSentinel(t *testing.T) {
	t.Parallel()
	row(t, "5.redis-url", "3.log-gap")
	g := startGroupOf(t, groupOptions{sentinels: 3})
	s := g.startStoredAt(t, g.named(g.addresses()[0]), g.addresses()[1:]...) // the others are found by it
	s.survive("the loss of the host", func() {
		g.sentinels[0].Pause()
		g.master.Pause()
	})
}
