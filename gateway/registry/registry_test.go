package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/gateway/redis"
	"wsfpm/gateway/suspend"
	"wsfpm/session"
)

// modelStore is a [Store] that the model answers, so that the loops run on the fake clock.
type modelStore struct {
	mu    sync.Mutex // guards what follows
	model *model
	keys  keys
	down  bool
	pipes int // pipelines and commands
}

var errAway = errors.New("redis is away")

func newModelStore() *modelStore { return &modelStore{model: newModel(), keys: "x:"} }

// node is the name in the key of a node's hash.
func (s *modelStore) node(key any) string {
	return fmt.Sprint(key)[len(s.keys.node("")):]
}

func (s *modelStore) Pipeline(ctx context.Context, commands ...[]any) (out []redis.Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pipes++
	for _, c := range commands {
		if err := ctx.Err(); err != nil || s.down {
			out = append(out, redis.Reply{Err: cmp.Or(err, errAway)})
			continue
		}
		nkeys := c[2].(int)
		out = append(out, redis.Reply{Value: s.script(fmt.Sprint(c[1]), s.node(c[3]), c[3+nkeys:])})
	}
	return out
}

// script runs one script on the model.
func (s *modelStore) script(hash, node string, args []any) any {
	text := func(i int) string { return fmt.Sprint(args[i]) }
	two := func(a, b string) any { return []any{a, b} }
	switch hash {
	case Script{"", registerText}.hash():
		return two(s.model.put(&write{creates: true, head: text(2), tail: text(3)}, node, text(1)))
	case Script{"", changeText}.hash():
		return two(s.model.put(&write{head: text(2), tail: text(3)}, node, text(1)))
	case Script{"", unregisterText}.hash():
		code, said, was := s.model.unregister(node, text(1))
		return []any{code, said, was}
	case Script{"", beatText}.hash():
		number, _ := strconv.ParseUint(text(2), 10, 64)
		code, was, beats := s.model.beat(node, text(1), number)
		list := []any{}
		for name, at := range beats {
			list = append(list, name, at)
		}
		return []any{code, was, list}
	case Script{"", claimText}.hash():
		return two(s.model.claim(death{node, text(1), text(3)}, text(2)))
	case Script{"", retireText}.hash():
		if len(s.model.records[node]) == 0 {
			delete(s.model.beats, node)
			delete(s.model.stamps, node)
		}
		return []any{codeOK, 0}
	}
	return nil
}

// Do answers HSCAN and INFO.
func (s *modelStore) Do(_ context.Context, args ...any) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pipes++
	if s.down {
		return nil, errAway
	}
	if args[0] == "info" {
		return "maxmemory_policy:noeviction\r\n", nil
	}
	pairs := []any{}
	for id, r := range s.model.records[s.node(args[1])] {
		pairs = append(pairs, id, r.text)
	}
	return []any{"0", pairs}, nil
}

func (s *modelStore) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// count returns how many round trips there were.
func (s *modelStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pipes
}

// members are the counts of a name's presence.
func (s *modelStore) members(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.model.presence[name])
}

// nodes returns how many nodes beat.
func (s *modelStore) nodes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.model.beats)
}

// testNode is a registry that notes what it was told.
type testNode struct {
	*Registry
	mu    sync.Mutex
	notes notes
}

// notes are what a registry was told: of the connections of others that it was to take over,
// and of its own claim by others.
type notes struct {
	lost    []string
	users   []bool // UserLeft of them
	claimed int
	down    bool // when it was claimed
}

// told returns the notes so far. A lock is needed: that the clock of the test moves orders
// nothing for the race detector.
func (n *testNode) told() notes {
	n.mu.Lock()
	defer n.mu.Unlock()
	told := n.notes
	told.lost, told.users = slices.Clone(told.lost), slices.Clone(told.users)
	return told
}

func newTestNode(t *testing.T, s Store, name string) *testNode {
	return newTestNodeBy(t, s, name, nil)
}

func newTestNodeBy(t *testing.T, s Store, name string, clock suspend.Clock) *testNode {
	n, made := &testNode{}, make(chan struct{})
	lives := 0
	cfg := Config{
		Store: s, Prefix: "x:", Timeout: time.Second, clock: clock,
		Name:     func() string { lives++; return name + strconv.Itoa(lives) },
		Presence: &Presence{Users: true, Channels: []string{"*"}},
		Claimed: func() {
			<-made
			n.mu.Lock()
			n.notes.down = !n.up.Load()
			n.notes.claimed++
			n.mu.Unlock()
		},
	}
	var running sync.WaitGroup
	cfg.Lost = func(l *Lost) {
		running.Go(func() {
			<-made
			d, _ := n.TakeLost(context.Background(), l)
			if d.Run {
				n.mu.Lock()
				n.notes.lost, n.notes.users = append(n.notes.lost, l.ID), append(n.notes.users, d.UserLeft)
				n.mu.Unlock()
			}
			n.LostOver(l)
		})
	}
	n.Registry = New(cfg)
	close(made)
	t.Cleanup(running.Wait)
	return n
}

// conn is a connection with a membership that the test changes.
type conn struct {
	mu sync.Mutex
	m  session.Membership
	e  *Entry
}

func (c *conn) info() Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Info{User: c.m.User, Channels: c.m.Channels}
}

func (n *testNode) enter(id, user string, channels ...string) *conn {
	c := &conn{m: session.Membership{User: user, Channels: channels}}
	c.e = n.Enter(context.Background(), id, c.info)
	return c
}

func (n *testNode) change(c *conn, user string, channels ...string) {
	c.mu.Lock()
	old := c.m
	c.m = session.Membership{User: user, Channels: channels}
	is := c.m
	c.mu.Unlock()
	n.Changed(c.e, old, is)
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// pass lets time pass, and what was due happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestPresenceFollowsTheConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newModelStore()
		a, b := newTestNode(t, s, "A"), newTestNode(t, s, "B")
		first := a.enter("a1", "7", "lobby")
		second := b.enter("b1", "7", "lobby")
		want(t, "lobby, registered with the call", s.members("channel:lobby"), "map[user:7:2]")
		want(t, "user 7", s.members("user:7"), "map[conn:a1:1 conn:b1:1]")
		a.change(first, "8", "lobby", "b")
		synctest.Wait() // at once: no time passes
		want(t, "lobby after a change of user", s.members("channel:lobby"), "map[user:7:1 user:8:1]")
		want(t, "b", s.members("channel:b"), "map[user:8:1]")
		want(t, "user 7 leaves", b.Leave(t.Context(), second.e), Decision{Run: true, UserLeft: true})
		want(t, "lobby", s.members("channel:lobby"), "map[user:8:1]")
		a.SetPresence(&Presence{})
		synctest.Wait()
		want(t, "lobby without presence", s.members("channel:lobby"), "map[]")
		want(t, "user 8 leaves uncounted", a.Leave(t.Context(), first.e), Decision{Run: true})
		a.Close(t.Context())
		b.Close(t.Context())
		want(t, "nodes after their end", s.nodes(), 0)
	})
}

func TestADeadNodesConnectionsAreTakenOverOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newModelStore()
		a, b, c := newTestNode(t, s, "A"), newTestNode(t, s, "B"), newTestNode(t, s, "C")
		for i := range 150 {
			a.enter(fmt.Sprint("a", i), fmt.Sprint(i%100), "lobby")
		}
		pass(time.Minute) // all beat
		want(t, "lost while all beat", len(b.told().lost)+len(c.told().lost), 0)
		close(a.stop) // it dies
		a.loops.Wait()
		pass(39 * time.Second) // its last beat is up to 5 s old
		want(t, "lost within the lease", len(b.told().lost)+len(c.told().lost), 0)
		pass(17 * time.Second)
		all := slices.Concat(b.told().lost, c.told().lost)
		slices.Sort(all)
		want(t, "lost connections", len(slices.Compact(all)), 150)
		want(t, "events", len(b.told().lost)+len(c.told().lost), 150)
		left := 0
		for _, u := range slices.Concat(b.told().users, c.told().users) {
			if u {
				left++
			}
		}
		want(t, "users whose last connection it was", left, 100)
		want(t, "lobby", s.members("channel:lobby"), "map[]")
		pass(10 * time.Second)
		want(t, "nodes", s.nodes(), 2)
		b.Close(t.Context())
		c.Close(t.Context())
	})
}

func TestAfterAnOutageNoNodeIsTakenForDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newModelStore()
		a, b := newTestNode(t, s, "A"), newTestNode(t, s, "B")
		one, two := a.enter("a1", "7", "lobby"), a.enter("a2", "8", "lobby")
		pass(20 * time.Second)
		s.set(true)
		pass(10 * time.Minute)
		three := a.enter("a3", "9", "lobby")
		a.change(one, "7", "lobby", "b")
		want(t, "an end while Redis is away", a.Leave(t.Context(), two.e), Decision{Run: true})
		want(t, "events go on while Redis is away", a.Awake(t.Context(), one.e), true)
		s.set(false)
		pass(5 * time.Second)
		want(t, "lobby", s.members("channel:lobby"), "map[user:7:1 user:9:1]")
		want(t, "b", s.members("channel:b"), "map[user:7:1]")
		pass(5 * time.Minute)
		want(t, "lost", len(b.told().lost), 0)
		want(t, "claimed", a.told().claimed+b.told().claimed, 0)
		want(t, "unknown", a.Stats().Unknown, 1)
		a.Drop(three.e)
		synctest.Wait()
		want(t, "lobby after a drop", s.members("channel:lobby"), "map[user:7:1]")
		a.Close(t.Context())
		b.Close(t.Context())
	})
}

func TestARedisThatForgotIsFilledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newModelStore()
		a := newTestNode(t, s, "A")
		for i := range 250 {
			a.enter(fmt.Sprint("a", i), "7", "lobby")
		}
		pass(12 * time.Second)
		s.mu.Lock()
		s.model.flush()
		s.mu.Unlock()
		pass(6 * time.Second)
		want(t, "lobby", s.members("channel:lobby"), "map[user:7:250]")
		s.mu.Lock() // a failover that lost the last writes, and a write that came late
		_, _, ghost := s.model.unregister("A1", "a7")
		s.model.put(&write{creates: true, head: "9\nuser:9\nchannel:lobby", tail: "{}"}, "A1", "ghost")
		s.mu.Unlock()
		if ghost == "" {
			t.Fatal("no record of a7")
		}
		pass(15 * time.Second)
		want(t, "lobby after a reconciliation", s.members("channel:lobby"), "map[user:7:250]")
		a.Close(t.Context())
	})
}

func TestAClaimedNodeTakesANewName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newModelStore()
		a, b := newTestNode(t, s, "A"), newTestNode(t, s, "B")
		one, two := a.enter("a1", "7", "lobby"), a.enter("a2", "8")
		pass(10 * time.Second)
		s.mu.Lock() // as after a pause
		s.model.tombs["A1"] = "B1"
		code, _, _ := s.model.unregister("A1", "a1")
		s.mu.Unlock()
		want(t, "the claimer's", code, codeOK)
		s.set(true) // as after a cut: the first answer is the tombstone
		pass(6 * time.Second)
		s.set(false)
		pass(6 * time.Second)
		want(t, "name", a.Node(), "A2")
		want(t, "claimed", a.told().claimed, 1)
		want(t, "ends are asked for", a.told().down, false)
		want(t, "events of the old name", a.Awake(t.Context(), one.e), false)
		want(t, "the connection that was taken over", a.Leave(t.Context(), one.e), Decision{})
		want(t, "the one that was not", a.Leave(t.Context(), two.e), Decision{Run: true, UserLeft: true})
		three := a.enter("a3", "9", "lobby")
		want(t, "lobby under the new name", s.members("channel:lobby"), "map[user:9:1]")
		want(t, "valid", three.e.Valid(), true)
		a.Close(t.Context())
		b.Close(t.Context())
	})
}

func TestAnIdleNodeSendsOneBeatAndOneScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newModelStore()
		a := newTestNode(t, s, "A")
		a.enter("a1", "7", "lobby")
		pass(30 * time.Second)
		before := s.count()
		pass(100 * time.Second)
		n := s.count() - before
		if n < 38 || n > 46 {
			t.Errorf("%d round trips in 100 s, want 2 each 5 s", n)
		}
		a.Close(t.Context())
	})
}
