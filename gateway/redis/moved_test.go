package redis

import (
	"errors"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// The pool leads to another server, as after a manual failover, or to the reader's own.
func TestAReaderEndsWhenAppendsGoToAnotherServer(t *testing.T) {
	stack.Integration(t)
	old, next := stack.Redis(t, stack.RedisOptions{}), stack.Redis(t, stack.RedisOptions{})
	stays, leaves := openReader(t, newStore(t, old.URL()), "ws:log"), openReader(t, newStore(t, old.URL()), "ws:log")
	stays.follow(t.Context(), newStore(t, old.URL()).single)
	leaves.follow(t.Context(), newStore(t, next.URL()).single)
	var err error
	if !stack.Poll(stack.Patience, time.Millisecond, func() bool {
		_, err = leaves.Round(t.Context(), "", 1, askEvery, false)
		return errors.Is(err, errMoved)
	}) {
		t.Errorf("got %v, want that the master is another server", err)
	}
	if _, err := stays.Round(t.Context(), "", 1, askEvery, false); err != nil {
		t.Errorf("got %v from a server that is the master", err)
	}
}

func TestAReaderWithoutTheRightToINFOStays(t *testing.T) {
	stack.Integration(t)
	old, next := stack.Redis(t, stack.RedisOptions{}), stack.Redis(t, stack.RedisOptions{})
	old.Do(t, "acl", "setuser", "default", "-info")
	r := openReader(t, newStore(t, old.URL()), "ws:log")
	r.follow(t.Context(), newStore(t, next.URL()).single)
	if _, err := r.Round(t.Context(), "", 1, 2*askEvery, false); err != nil {
		t.Errorf("got %v", err)
	}
}
