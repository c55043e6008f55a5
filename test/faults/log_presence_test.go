package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"wsfpm/test/stack"
)

// presenceTime is within how long presence is right after a fault, see "8.presence".
const presenceTime = time.Minute

// inAMinute bounds what the contract gives no time for, or more where the machine is shared.
func inAMinute() time.Duration { return min(stack.Bound(time.Minute), 3*time.Minute) }

// lookEvery is the interval of looks at all connections and all that Redis has.
const lookEvery = 100 * time.Millisecond

// letNodesDie wants presence to be right after the faults before. Then it kills a node and
// stops the other for longer than its lease, while the clients stay where they are, and wants
// that each of their connections gets its event, and presence to be right again. With outage
// Redis does not answer meanwhile, for longer than the time between two beats and the time
// that one waits: the lease is counted anew.
func (p *logProgramme) letNodesDie(clients, killed int, outage bool) {
	p.hold.Store(true)
	defer p.hold.Store(false)
	client := p.redis.client()
	defer client.Close()
	p.awaitPresence(client, clients)
	var there []*visit
	if !stack.Poll(inAMinute(), lookEvery, func() bool {
		there = p.present()
		return len(there) == clients && len(recorded(client, there)) == clients
	}) {
		p.t.Errorf("Redis has not got the records of %d connections of %d", len(there), clients)
		return
	}
	dying, stopped := p.nodes[killed], p.nodes[1-killed]
	began := time.Now()
	stopped.Pause()
	dying.Pause()
	// A client that has been told of a gap leaves: then its node is about to run its event.
	there = recorded(client, p.present())
	if len(there) < clients/2 {
		p.t.Errorf("only %d of %d clients stayed", len(there), clients)
	}
	dying.Kill()
	p.harmed("node-kill", killed, began)
	p.died(there, began)
	p.talk.Store(true) // also to the node that is stopped: that is for nothing
	defer p.talk.Store(false)
	dying.Start(worker{p.t})
	if outage {
		p.pause(10 * time.Second)
		p.redis.now().Pause()
		p.pause(9 * time.Second)
		p.died(there, time.Now())
		p.redis.now().Resume()
	}
	if missing := p.awaitEnds(there); missing > 0 {
		p.t.Errorf("nodes have died: %d of their %d connections have got no disconnect event within %v", missing, len(there), time.Since(began))
	}
	took := time.Since(began)
	stopped.Resume()
	p.awaitPresence(client, clients)
	p.t.Logf("a node was killed, the other stopped (Redis too: %v): disconnect events of %d connections after %v", outage, len(there), took.Round(100*time.Millisecond))
}

// died notes when the nodes of connections have died, or when their leases begin anew.
func (p *logProgramme) died(list []*visit, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range list {
		v.died = at
	}
}

// awaitEnds waits for the disconnect events of connections, and returns how many have none.
func (p *logProgramme) awaitEnds(list []*visit) (missing int) {
	stack.Poll(inAMinute(), lookEvery, func() bool {
		missing = 0
		j := p.events()
		for _, v := range list {
			missing += count(len(j.ends[v.id]) == 0)
		}
		return missing == 0
	})
	return missing
}

// recorded returns those of the connections of which Redis has a record.
func recorded(client *redis.Client, there []*visit) []*visit {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return slices.DeleteFunc(there, func(v *visit) bool {
		at := strings.LastIndexByte(v.id, '-') // NODE-RANDOM-NUMBER
		return at < 0 || !client.HExists(ctx, "ws:node:"+v.id[:at], v.id).Val()
	})
}

// awaitPresence wants presence in Redis to be what the nodes' hubs have, which is one
// connection of each client.
func (p *logProgramme) awaitPresence(client *redis.Client, clients int) {
	began := time.Now()
	var connections int
	var want, got map[string]string
	right := func() bool {
		connections, want = p.inHubs()
		got = presenceIn(client)
		return connections == clients && maps.Equal(want, got)
	}
	if !stack.Poll(presenceTime, lookEvery, right) {
		p.t.Errorf("presence after %v, with %d connections of %d clients: %s", presenceTime, connections, clients, differences(want, got))
	}
	p.slowest = max(p.slowest, time.Since(began))
}

// inHubs returns how many connections the nodes have, and what presence they make.
func (p *logProgramme) inHubs() (connections int, members map[string]string) {
	var list []member
	for _, n := range p.nodes {
		status, text := n.AdminDo(p.t, http.MethodGet, "/connections", "", nil)
		if status != http.StatusOK {
			p.t.Fatalf("/connections answers %d: %.80q", status, text)
		}
		for in := json.NewDecoder(strings.NewReader(text)); in.More(); connections++ {
			var m member
			if err := in.Decode(&m); err != nil {
				p.t.Fatalf("/connections: %v", err)
			}
			list = append(list, m)
		}
	}
	return connections, presenceOf(list)
}

// member is a connection as a hub has it.
type member struct {
	ID, User string
	Channels []string
}

// presenceOf is what Redis is to have of connections with a user, by key and member.
func presenceOf(list []member) map[string]string {
	counts := make(map[string]int)
	for _, m := range list {
		counts["ws:presence:user:"+m.User+" conn:"+m.ID]++
		for _, channel := range m.Channels {
			counts["ws:presence:channel:"+channel+" user:"+m.User]++
		}
	}
	members := make(map[string]string, len(counts))
	for who, n := range counts {
		members[who] = fmt.Sprint(n)
	}
	return members
}

// presenceIn is what Redis has.
func presenceIn(client *redis.Client) map[string]string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	members := make(map[string]string)
	for _, key := range client.Keys(ctx, "ws:presence:*").Val() {
		for who, n := range client.HGetAll(ctx, key).Val() {
			members[fmt.Sprintf("%s %s", key, who)] = n
		}
	}
	return members
}

// differences says what Redis should have and has, where that is not the same.
func differences(want, got map[string]string) string {
	var b strings.Builder
	for who, n := range want {
		if got[who] != n {
			fmt.Fprintf(&b, "%s: want %s, got %q; ", who, n, got[who])
		}
	}
	for who, n := range got {
		if want[who] == "" {
			fmt.Fprintf(&b, "%s: want none, got %s; ", who, n)
		}
	}
	return b.String()
}

func TestPresenceIsComparedByCounts(t *testing.T) {
	want := presenceOf([]member{{"one-1", "u1", []string{"r0", "r1"}}, {"two-1", "u1", []string{"r0"}}})
	got := map[string]string{
		"ws:presence:user:u1 conn:one-1": "1", "ws:presence:user:u1 conn:two-1": "1", "ws:presence:channel:r0 user:u1": "2", "ws:presence:channel:r1 user:u1": "1",
	}
	if text := differences(want, got); text != "" || !maps.Equal(want, got) {
		t.Errorf("got %s", text)
	}
	got["ws:presence:channel:r0 user:u1"] = "1"
	got["ws:presence:channel:r2 user:u1"] = "1"
	delete(got, "ws:presence:user:u1 conn:two-1")
	text := differences(want, got)
	for _, part := range []string{`channel:r0 user:u1: want 2, got "1"`, "channel:r2 user:u1: want none, got 1", `conn:two-1: want 1, got ""`} {
		if !strings.Contains(text, part) {
			t.Errorf("got %q, want %q in it", text, part)
		}
	}
}
