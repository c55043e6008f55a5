package bus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wsfpm/gateway/redis"
	"wsfpm/session"
)

// churn joins and leaves names from many goroutines until stop is closed.
// Each goroutine keeps the names that it joined last; keep returns them.
func churn(b *testBus, workers, names int, stop <-chan struct{}) (keep func() map[session.Address]int) {
	var wg sync.WaitGroup
	held := make([][]session.Address, workers)
	for w := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 2))
			for {
				var list []session.Address
				for range 1 + random.IntN(5) {
					list = append(list, session.Channel(fmt.Sprint(random.IntN(names))))
				}
				b.Join(context.Background(), list)
				b.Leave(held[w])
				held[w] = list
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	return func() map[session.Address]int {
		wg.Wait()
		members := map[session.Address]int{}
		for _, list := range held {
			for _, n := range list {
				members[n]++
			}
		}
		return members
	}
}

// wantSubscribed waits until Redis has exactly the names that have members.
func wantSubscribed(t *testing.T, s *redisServer, b *testBus, members map[session.Address]int, names int) {
	t.Helper()
	waitReady(t, b)
	eventually(t, "at rest", func() bool {
		st := b.Stats()
		return st.Names == len(members) && st.NamesConfirmed == len(members)
	})
	for i := range names {
		name := session.Channel(fmt.Sprint(i))
		want := int64(min(members[name], 1))
		eventually(t, fmt.Sprintf("%v heard by %d", name, want), func() bool { return s.subscribers("ws:"+name.String()) == want })
	}
	if got := s.subscribers("ws:all"); got != 1 {
		t.Errorf("ws:all is heard by %d, want 1", got)
	}
}

func TestRedisRestartsUnderJoins(t *testing.T) {
	s := startRedis(t)
	b := newTestBus(t, Config{URL: s.url})
	waitReady(t, b)
	stop := make(chan struct{})
	keep := churn(b, 16, 50, stop)
	for range 3 {
		s.kill()
		eventually(t, "down", func() bool { return b.Stats().State == "down" })
		s.start()
		eventually(t, "up", func() bool { return b.Stats().State == "up" })
	}
	close(stop)
	wantSubscribed(t, s, b, keep(), 50)
}

func TestEveryKilledConnectionIsOneEpoch(t *testing.T) {
	s := startRedis(t)
	b := newTestBus(t, Config{URL: s.url})
	waitReady(t, b)
	stop := make(chan struct{})
	keep := churn(b, 16, 50, stop)
	const kills = 10
	for i := range kills {
		s.do("client", "kill", "type", "pubsub")
		want := uint64(i + 2)
		eventually(t, "next epoch", func() bool { return b.Stats().Epochs == want })
		waitReady(t, b)
	}
	close(stop)
	wantSubscribed(t, s, b, keep(), 50)
	if got := b.Stats().Epochs; got != kills+1 {
		t.Errorf("got %d epochs after %d kills", got, kills)
	}
}

func TestALineNeverComesBack(t *testing.T) {
	s := startRedis(t)
	c, err := redis.New(s.url, "anchor")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l, err := c.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Subscribe([]string{"a"}); err != nil {
		t.Fatal(err)
	}
	s.do("client", "kill", "type", "pubsub")
	eventually(t, "the loss is noticed on sending", func() bool { return l.Subscribe([]string{"b"}) != nil })
	if err := l.Subscribe([]string{"c"}); err == nil {
		t.Error("subscribe succeeds on a line that broke")
	}
	if e, err := l.Receive(patience); err == nil {
		t.Errorf("received %+v on a line that broke", e)
	}
	if n := s.subscribers("a"); n != 0 {
		t.Errorf("%d connections came back", n)
	}
}

func TestTenThousandNamesComeAndGo(t *testing.T) {
	s := startRedis(t)
	b := newTestBus(t, Config{URL: s.url, Confirm: patience})
	const names = 10_000
	members := map[session.Address]int{}
	var wg sync.WaitGroup
	for w := range 20 {
		wg.Go(func() {
			for i := w; i < names; i += 20 {
				name := []session.Address{session.Channel(fmt.Sprint(i))}
				for range 3 { // leaves and joins meet in flight
					b.Join(context.Background(), name)
					b.Leave(name)
				}
				if i%2 == 0 && !b.Join(context.Background(), name) {
					t.Errorf("%v not confirmed", name)
				}
			}
		})
	}
	wg.Wait()
	for i := 0; i < names; i += 2 {
		members[session.Channel(fmt.Sprint(i))]++
	}
	wantSubscribed(t, s, b, members, names)
	if st := b.Stats(); st.JoinsUnconfirmed != 0 || st.Epochs != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestConfirmedMeansThatAPublishArrives(t *testing.T) {
	s := startRedis(t)
	b := newTestBus(t, Config{URL: s.url, Confirm: patience})
	other := newTestBus(t, Config{URL: s.url, Confirm: patience})
	for i := range 500 {
		name := session.Conn(fmt.Sprint(i))
		mustJoin(t, b, name)
		if n := count(t, s.client, "ws:"+name.String()); n != 1 {
			t.Fatalf("counted %d, want 1", n)
		}
		mustJoin(t, other, name)
		if n := count(t, s.client, "ws:"+name.String()); n != 2 {
			t.Fatalf("counted %d, want 2", n)
		}
		next(t, b)
		next(t, b)
		next(t, other)
	}
}

func TestPausedRedisIsNoticed(t *testing.T) {
	s := startRedis(t)
	b := newTestBus(t, Config{URL: s.url, Confirm: 300 * time.Millisecond})
	mustJoin(t, b, session.User("7"))
	s.do("client", "pause", 2500, "all")
	if b.Join(context.Background(), []session.Address{session.User("8")}) {
		t.Error("join confirmed by a paused Redis")
	}
	err := b.Publish(context.Background(), text(session.All, "x"))
	if err == nil {
		t.Error("publish confirmed by a paused Redis")
	}
	t.Log(waitNotReady(t, b))
	waitReady(t, b)
	if n := count(t, s.client, "ws:user:8"); n != 1 {
		t.Errorf("counted %d, want 1", n)
	}
	if got := b.Stats().Epochs; got != 1 {
		t.Errorf("got %d epochs: a short pause is no reason to reconnect", got)
	}
}

func TestStoppedRedisIsNoticedWithoutTraffic(t *testing.T) {
	s := startRedis(t)
	b := newTestBus(t, Config{URL: s.url, Confirm: 300 * time.Millisecond})
	mustJoin(t, b, session.User("7"))
	s.signal(syscall.SIGSTOP)
	t.Log(waitNotReady(t, b))
	eventually(t, "connection given up", func() bool { return b.Stats().State == "down" })
	wantError(t, b.Publish(context.Background(), text(session.All, "x")), ErrDown)
	s.signal(syscall.SIGCONT)
	waitReady(t, b)
	if n := count(t, s.client, "ws:user:7"); n != 1 {
		t.Errorf("counted %d, want 1", n)
	}
}

func TestSlowReaderOverflowsRedisAndComesBack(t *testing.T) {
	s := startRedis(t)
	b := newTestBus(t, Config{URL: s.url})
	mustJoin(t, b, session.User("7"))
	payload := strings.Repeat("x", 100<<10)
	publish := func() { s.client.Publish(context.Background(), "ws:user:7", payload) }
	eventually(t, "no room", func() bool { publish(); return b.waits.Load() > 0 })
	s.do("config", "set", "client-output-buffer-limit", "pubsub 1mb 0 0")
	eventually(t, "redis gave up on the connection", func() bool { publish(); return s.subscribers("ws:user:7") == 0 })
	if n := len(b.ear); n != heardRoom {
		t.Errorf("%d commands wait, want as many as there is room for", n)
	}
	eventually(t, "back after the reader woke up", func() bool {
		select {
		case <-b.ear:
		default:
		}
		return b.Ready() == nil && b.Stats().Epochs == 2 && len(b.ear) == 0
	})
	nothingBefore(t, b, "marker")
}

func TestPublishEndsWithItsContext(t *testing.T) {
	s := startRedis(t)
	b := newTestBus(t, Config{URL: s.url, Confirm: time.Hour})
	waitReady(t, b)
	s.signal(syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := b.Publish(ctx, text(session.All, "x")); err == nil || errors.Is(err, ErrDown) {
		t.Errorf("got %v", err)
	}
	if b.Join(ctx, []session.Address{session.User("7")}) {
		t.Error("join confirmed by a stopped Redis")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.subs.waiting) > 0 {
		t.Error("a join that timed out is still pending")
	}
}

func TestAllNodesSeeOneOrder(t *testing.T) {
	s := startRedis(t)
	nodes := []*testBus{newTestBus(t, Config{URL: s.url}), newTestBus(t, Config{URL: s.url})}
	for _, b := range nodes {
		mustJoin(t, b, session.Channel("a"))
	}
	const publishers, each = 8, 100
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				c := text(session.Channel("a"), fmt.Sprint(p, " ", i))
				if i%2 == 0 {
					c.To = append(c.To, session.User("none")) // published as a JSON command
				}
				if err := nodes[p%2].Publish(context.Background(), c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	last := map[int]int{}
	for range publishers * each {
		first, second := string(next(t, nodes[0]).Message.Data()), string(next(t, nodes[1]).Message.Data())
		if first != second {
			t.Fatalf("one node hears %q, the other %q", first, second)
		}
		var p, i int
		if _, err := fmt.Sscan(first, &p, &i); err != nil || i != last[p] {
			t.Fatalf("got %q, want number %d of publisher %d (%v)", first, last[p], p, err)
		}
		last[p]++
	}
	wg.Wait()
}
