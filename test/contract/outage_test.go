package contract

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"wsfpm/test/stack"
)

// A node that is cut off from Redis goes on without it, and then gets what was stored.
func TestANodeCutOffFromRedisGetsTheLogLater(t *testing.T) {
	stack.Integration(t)
	link := stack.Proxy(t, shared.redis.Addr)
	prefix := newPrefix()
	w := start(t, setup{script: "chatty.php", route: resuming, options: stack.GatewayOptions{
		Redis: "redis://" + link.Addr, RedisTOML: fmt.Sprintf("prefix = %q\nconfirm = \"300ms\"\n", prefix),
	}}, "3.redis-down", "3.log-failed", "3.log-failed-connect", "3.log", "7.ok")
	w.prefix = prefix
	c := w.returns("new", "", "state", "WS-Join: room")
	began := expect(t, c, "state", "")
	link.Cut()
	stack.Wait(t, "the node to notice", func() bool { return !w.Ready() })
	var ids []string
	for i := range 20 {
		ids = append(ids, w.store("channel:room", fmt.Sprint("message ", i)))
	}
	ask(c, "plain", "reply")
	c.Expect(`{"re":"plain","data":"reply"}`)
	ask(c, "stored", "reply", "WS-Publish: channel:room")
	c.Expect(`{"re":"stored","error":"failed"}`)
	equal(t, "a connect that publishes", w.refused("?h[]=WS-Publish:channel:room&body=x", stack.DialOptions{}).Status, 503)
	w.returns("ok", began, "", "WS-Join: other")
	if status, body := w.Push(t, `{"to":"channel:room","data":"x","durable":true}`); status != 503 {
		t.Errorf("push: got %d %s, want 503", status, body)
	}
	link.Mend()
	for i, id := range ids {
		expect(t, c, fmt.Sprint("message ", i), id)
	}
	stack.Wait(t, "/ready", w.Ready)
	equal(t, "gaps", w.Metric(t, "wsfpm_log_gaps_total"), 0)
}

// A publisher that hears nothing does not know whether its message is stored.
func TestAPublisherThatRepeatsStoresTwice(t *testing.T) {
	s := startStoring(t, resuming, "", "3.log", "3.log-repeated")
	c := s.dial("", stack.DialOptions{Protocols: []string{"wsfpm.v1"}})
	equal(t, "resume", next(t, c).Hello.Resume, "new")
	c.Next() // the position
	impatient := redis.NewClient(&redis.Options{Addr: s.redis.Addr, MaxRetries: -1, ReadTimeout: 300 * time.Millisecond})
	defer impatient.Close()
	add := func() error {
		return impatient.Do(context.Background(), "xadd", "ws:log", "*", "to", "channel:room", "data", "paid").Err()
	}
	if err := impatient.Ping(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	s.redis.Pause()
	err := add()
	s.redis.Resume()
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("got %v, want a timeout", err)
	}
	stack.Wait(t, "the second attempt", func() bool { return add() == nil })
	first := expect(t, c, "paid", "")
	if second := expect(t, c, "paid", ""); second == first {
		t.Errorf("both have the id %s", first)
	}
}

// What is older than resume_age is in the log, and no client gets it.
func TestAClientThatMissedAnOldMessageGetsAGap(t *testing.T) {
	stack.Integration(t)
	prefix := newPrefix()
	const minute = 60_000
	now := time.Now().UnixMilli()
	for _, age := range []int64{12, 11, 9, 8} {
		shared.redis.Do(t, "XADD", prefix+"log", now-age*minute, "to", "channel:room", "data", fmt.Sprint("minute ", age))
	}
	w := start(t, setup{script: "chatty.php", route: resuming, options: stack.GatewayOptions{
		Redis: shared.redis.URL(), RedisTOML: fmt.Sprintf("prefix = %q\n", prefix),
	}}, "7.age", "7.gap")
	began := expect(t, w.returns("new", "", "state"), "state", fmt.Sprint(now-8*minute))
	tag := began[strings.LastIndex(began, "-"):]
	at := func(age int64) string { return fmt.Sprint(now-age*minute, "-0", tag) }
	c := w.returns("ok", at(11), "", "WS-Join: room")
	expect(t, c, "minute 9", "")
	expect(t, c, "minute 8", began)
	expect(t, w.returns("gap", at(12), "state", "WS-Join: room"), "state", began)
}

// A publisher gives an id of the future. What was before it can still be resumed.
func TestAnIDOfTheFutureIsNoGap(t *testing.T) {
	w := start(t, setup{script: "chatty.php", redis: true, route: resuming}, "3.log-ahead", "7.age")
	c := w.returns("new", "", "state", "WS-Join: room")
	began := expect(t, c, "state", "")
	future := fmt.Sprint(time.Now().Add(2*time.Hour).UnixMilli(), "-0") // durable.keep is 1h
	shared.redis.Do(t, "XADD", w.prefix+"log", future, "to", "channel:room", "data", "one")
	one := expect(t, c, "one", future)
	two := w.store("channel:room", "two")
	expect(t, c, "two", two)
	c = w.returns("ok", began, "", "WS-Join: room")
	expect(t, c, "one", one)
	expect(t, c, "two", two)
	expect(t, w.returns("ok", one, "", "WS-Join: room"), "two", two)
	if ahead := w.Metric(t, "wsfpm_log_ahead_seconds"); ahead < 3600 {
		t.Errorf("the newest message is %v s ahead", ahead)
	}
}
