package redis

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsfpm/test/stack"
)

func TestWhatWaitedForAConnectionIsNotSent(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	entry := []string{"to", "all", "data", "x"}
	for name, url := range map[string]string{
		"for the answer to AUTH":     "redis://:secret@" + silent.Addr().String(),
		"for the nodes of a Cluster": "redis://" + silent.Addr().String() + "?cluster=true",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := newStore(t, url).Append(ctx, "ws:log", entry); !NotSent(err) {
			t.Errorf("%s: got %v, want an error that proves that nothing was sent", name, err)
		}
		cancel()
	}
}

func TestWhatWaitedForTheConnectionsOfOthersIsNotSent(t *testing.T) {
	stack.Integration(t)
	s := stack.Redis(t, stack.RedisOptions{})
	c := newStore(t, s.URL()+"?pool_size=1")
	entry := []string{"to", "all", "data", "x"}
	if _, err := c.Append(t.Context(), "ws:log", entry); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	const appends = 8
	var unsent atomic.Int64
	var all sync.WaitGroup
	for i := range appends {
		all.Go(func() {
			list := [][]string{entry, entry}[:1+i%2]
			if _, err := c.Append(ctx, "ws:log", list...); err == nil {
				t.Error("a Redis that is paused has answered")
			} else if NotSent(err) {
				unsent.Add(int64(len(list)))
			}
		})
	}
	all.Wait()
	s.Resume()
	want := 1 + 12 - unsent.Load()
	stack.Wait(t, "what was sent", func() bool { return s.Do(t, "xlen", "ws:log") == fmt.Sprint(want) })
	if n := unsent.Load(); n == 0 || n == 12 {
		t.Errorf("%d of 12 entries were certainly not sent", n)
	}
}
