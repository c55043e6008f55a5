package redistest

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"wsfpm/test/stack"
)

// trial is the setting of the promise: two nodes that hear Redis over a link
// of 50 ms, a publisher beside Redis, and clients that all join and leave the
// same few names, so that last leavers meet new joiners all the time.
type trial struct {
	redis *redis.Client
	nodes [2]node
}

const (
	trialClients = 50
	trialNames   = 12
)

func startTrial(t *testing.T, lines string) trial {
	t.Helper()
	p := newPath(t)
	p.link.Delay(50 * time.Millisecond)
	return trial{p.server.Client(t), startTwo(t, p.url(), lines)}
}

// way is one of those to come to an address and to leave it, each with a
// message to the client: "joined", "left".
type way struct {
	address     string
	join, leave func()
}

// ways are by WS-Join, by WS-User, and by another program's command.
func (tr trial) ways(w worker, c client, name string) [3]way {
	says := func(reply, header string) func() { return func() { c.say(reply, header) } }
	command := func(text, what string) func() {
		return func() {
			publish(w, tr.redis, "ws:command", fmt.Sprintf(`{"to":"conn:%s",%q:[%q],"data":%q}`, c.id, what, name, text))
		}
	}
	return [3]way{
		{"channel:" + name, says("joined", "WS-Join: "+name), says("left", "WS-Leave: *")},
		{"user:" + name, says("joined", "WS-User: "+name), says("left", "WS-User:")},
		{"channel:" + name, command("joined", "join"), command("left", "leave")},
	}
}

// run makes so many tries and returns how many pushes did not arrive. A try
// joins, sees the reply, has a push sent there at once, and leaves.
func (tr trial) run(t *testing.T, tries int) (missed int64) {
	t.Helper()
	var count atomic.Int64
	began := time.Now()
	parallel(t, trialClients, func(w worker, i int) {
		c := tr.nodes[i%2].dial(w)
		// The fence below needs a name that is there whatever redis.confirm is.
		stack.Wait(w, "the connection's own name", func() bool { return publish(w, tr.redis, "ws:conn:"+c.id, "there") == 1 })
		for c.Next().String() != "text there" {
		}
		for n := range tries / trialClients {
			way := tr.ways(w, c, fmt.Sprint("n", (i/2+n)%trialNames))[n%3]
			if !tr.try(w, c, way, fmt.Sprintf("push %d of %d", n, i)) {
				count.Add(1)
			}
		}
	})
	t.Logf("%d tries in %v, missed %d", tries, time.Since(began).Round(time.Millisecond), count.Load())
	return count.Load()
}

// try reports whether the push arrived. Behind the push goes a fence to the
// connection itself: Redis and the node keep their order, so that no client waits
// in vain. Nothing that others push to the address may come before the message
// that joins it, or after the one that leaves it.
func (tr trial) try(w worker, c client, to way, push string) (arrived bool) {
	to.join()
	c.Expect("joined")
	publish(w, tr.redis, "ws:"+to.address, push)
	publish(w, tr.redis, "ws:conn:"+c.id, "fence")
	for text := ""; text != "fence"; {
		text = string(c.Next().Data)
		arrived = arrived || text == push
	}
	to.leave()
	for text := ""; text != "left"; {
		text = string(c.Next().Data)
		if text != "left" && !strings.HasPrefix(text, "push ") {
			w.Fatalf("got %q before the reply", text)
		}
	}
	return arrived
}

func TestAPushAfterTheReplyThatJoinedAlwaysArrives(t *testing.T) {
	row(t, "2.promise-join", "2.one-step")
	tries := 1000
	if os.Getenv("WSFPM_LONG") == "1" {
		tries = 10000
	}
	tr := startTrial(t, `confirm = "1m"`) // a busy machine may take a second: the order is judged
	equal(t, "missed", tr.run(t, tries), 0)
	for _, n := range tr.nodes {
		equal(t, "wsfpm_joins_unconfirmed_total", n.Metric(t, "wsfpm_joins_unconfirmed_total"), 0)
	}
}

func TestAPushAfterTheFirstMessageAlwaysArrives(t *testing.T) {
	row(t, "2.promise-join")
	tr := startTrial(t, `confirm = "1m"`)
	parallel(t, 20, func(w worker, i int) {
		for n := range 5 {
			user := fmt.Sprintf("user:u%d-%d", i, n)
			c := tr.nodes[i%2].dial(w, "WS-Join: hall", "WS-User: "+user[5:])
			for _, address := range []string{"conn:" + c.id, user} {
				equal(w, "nodes at "+address, publish(w, tr.redis, "ws:"+address, "to "+address), 1)
			}
			publish(w, tr.redis, "ws:channel:hall", "hall "+c.id)
			for missing := map[string]bool{"to conn:" + c.id: true, "to " + user: true, "hall " + c.id: true}; len(missing) > 0; {
				delete(missing, string(c.Next().Data))
			}
			c.Close(1000, "")
		}
	})
}

// Without the wait for Redis the same tries miss pushes: the test above can fail.
func TestWithoutConfirmationPushesAreMissed(t *testing.T) {
	tr := startTrial(t, `confirm = "1ns"`)
	if missed := tr.run(t, 2*trialClients); missed == 0 {
		t.Error("no push was missed, although no reply waited for Redis")
	}
	if n := tr.nodes[0].Metric(t, "wsfpm_joins_unconfirmed_total"); n == 0 {
		t.Error("wsfpm_joins_unconfirmed_total did not count")
	}
}

// What was pushed before a reply that leaves may be on its way for long; it
// must not come after that reply.
func TestNoPushArrivesAfterTheReplyThatLeft(t *testing.T) {
	row(t, "2.one-step")
	tr := startTrial(t, "")
	stays := tr.nodes[0].dial(t, "WS-Join: busy")
	over := make(chan struct{})
	published := make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-over:
				published <- n
				return
			default:
			}
			tr.redis.Publish(t.Context(), "ws:channel:busy", fmt.Sprint("push ", n))
			n++
		}
	}()
	parallel(t, 10, func(w worker, i int) {
		c := tr.nodes[i%2].dial(w)
		for range 10 {
			c.do("joined", "WS-Join: busy")
			c.Next() // pushes flow
			c.say("left", "WS-Leave: busy")
			for c.Next().String() != "text left" {
			}
			c.do("outside") // a push would stand before it
		}
	})
	close(over)
	for n := range <-published {
		stays.Expect(fmt.Sprint("push ", n))
	}
}
