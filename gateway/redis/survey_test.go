package redis

import (
	"fmt"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

func TestSurveyFindsStreamsThatLookLikeALog(t *testing.T) {
	stack.Integration(t)
	s := stack.Redis(t, stack.RedisOptions{Args: []string{"--maxmemory-policy", "allkeys-lru"}})
	add := func(db int, key, field string) {
		c := newStore(t, fmt.Sprintf("redis://%s/%d", s.Addr, db))
		if _, err := c.Append(t.Context(), key, []string{field, "all"}); err != nil {
			t.Fatal(err)
		}
	}
	add(2, "ws:log", "to")
	add(2, "audit-log", "line")
	add(0, "ws:log", "to")
	add(2, "laravel_database_ws:log", "to")
	add(5, "other", "to")
	c := newStore(t, "redis://"+s.Addr+"/2")
	got, err := c.Survey(t.Context(), "ws:log")
	want := "[{2 laravel_database_ws:log} {0 ws:log}]"
	if err != nil || fmt.Sprint(got.Strays) != want || !got.Searched || got.Policy != "allkeys-lru" {
		t.Errorf("got %+v, %v, want %s", got, err, want)
	}
	for _, rights := range []string{"", "+info", "+info +scan", "+info +scan +select"} {
		s.Do(t, append([]any{"acl", "setuser", "ws", "reset", "on", ">secret", "~ws:log", "+xrange"}, fields(rights)...)...)
		c := newStore(t, strings.Replace("redis://"+s.Addr+"/0", "redis://", "redis://ws:secret@", 1))
		if got, err := c.Survey(t.Context(), "ws:log"); err != nil || got.Searched || (got.Policy != "") != strings.Contains(rights, "+info") {
			t.Errorf("%q: got %+v, %v", rights, got, err)
		}
	}
}

func TestTheEmbeddedServerCanBeSurveyed(t *testing.T) {
	e, err := StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if got, err := newStore(t, "redis://"+e.Addr()).Survey(t.Context(), "ws:log"); err != nil || len(got.Strays) > 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}
