package redistest

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"wsfpm/test/stack"
)

const (
	publishers = 4  // clients that publish, two on each node
	listeners  = 4  // clients that only hear
	each       = 60 // pushes of one publisher
)

// numbered lets a client publish push number n to the hall, by one of the ways
// that a push can take, with a reply of its own.
func (c client) numbered(name string, n int) {
	text := fmt.Sprint("push ", name, " ", n)
	push := []string{
		fmt.Sprintf(`{"to":"channel:hall","data":%q}`, text),               // the address's own channel
		fmt.Sprintf(`{"to":["user:none","channel:hall"],"data":%q}`, text), // the channel for commands
		fmt.Sprintf(`{"to":"channel:hall","base64":%q}`, base64.StdEncoding.EncodeToString([]byte(text))),
		fmt.Sprintf(`{"to":"channel:hall","join":["room%d"],"data":%q}`, n%5, text), // what follows waits for Redis
	}[n%4]
	c.say(fmt.Sprintf(`[%s,{"data":"reply %d"}]`, push, n), commandType)
}

// collect reads so many pushes. Replies, in order, stand before the push of
// the same answer.
func (c client) collect(own string, count int) (pushes []string) {
	replies := 0
	for len(pushes) < count {
		text := string(c.Next().Data)
		if text == fmt.Sprint("reply ", replies) {
			replies++
			continue
		}
		if n, mine := strings.CutPrefix(text, "push "+own+" "); mine && n == fmt.Sprint(replies) {
			return append(pushes, "push before reply "+n)
		}
		pushes = append(pushes, text)
	}
	return pushes
}

func TestAllMembersSeeOneOrder(t *testing.T) {
	row(t, "2.publish-once", "2.publish-order", "2.promise-reply-first", "4.order")
	server := stack.Redis(t, stack.RedisOptions{})
	nodes := startTwo(t, server.URL(), "")
	r := server.Client(t)
	var hall []client
	for i := range publishers + listeners {
		hall = append(hall, nodes[i%2].dial(worker{t}, "WS-Join: hall"))
	}
	var running sync.WaitGroup
	for i, c := range hall[:publishers] {
		running.Go(func() {
			for n := range each {
				c.numbered(fmt.Sprint(i), n)
			}
		})
	}
	running.Go(func() {
		for n := range each {
			publish(worker{t}, r, "ws:channel:hall", fmt.Sprint("push outside ", n))
		}
	})
	seen := make([][]string, len(hall))
	parallel(t, len(hall), func(_ worker, i int) {
		seen[i] = hall[i].collect(fmt.Sprint(i), (publishers+1)*each)
	})
	running.Wait()
	for i := range seen {
		if !slices.Equal(seen[i], seen[0]) {
			t.Errorf("member %d saw another order than member 0:\n%q\n%q", i, seen[i], seen[0])
		}
	}
	last := map[string]int{}
	for _, push := range seen[0] {
		name := strings.Fields(push)[1]
		equal(t, "next push of "+name, push, fmt.Sprint("push ", name, " ", last[name]))
		last[name]++
	}
}
