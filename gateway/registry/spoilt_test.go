package registry

import (
	"context"
	"testing"
	"time"
)

// Another program has made the key of a channel something that does not count. All else counts.
func TestAKeyThatAnotherProgramHasSpoiltConcernsItsNameOnly(t *testing.T) {
	for name, spoil := range map[string][]any{
		"another type": {"set", "x:presence:channel:spoilt", "mine"},
		"no number":    {"hset", "x:presence:channel:spoilt", "user:7", "mine"},
	} {
		t.Run(name, func(t *testing.T) { eachServer(t, func(t *testing.T, url string) { spoiltBefore(t, url, spoil) }) })
	}
}

func spoiltBefore(t *testing.T, url string, spoil []any) {
	c := newClient(t, url)
	r := New(Config{Store: c, Prefix: "x:", Name: func() string { return "A" }, Presence: &Presence{Channels: []string{"*"}},
		Lost: func(*Lost) {}, Claimed: func() {}, Timeout: 10 * time.Second})
	defer r.Close(context.Background())
	do(t, c, spoil...)
	in := func(id string, channels ...string) *Entry {
		return r.Enter(t.Context(), id, func() Info { return Info{User: "7", Channels: channels} })
	}
	one, two := in("a1", "lobby", "spoilt", "zoo"), in("a2", "zoo")
	for channel, n := range map[string]string{"lobby": "1", "zoo": "2"} {
		if got := do(t, c, "hget", "x:presence:channel:"+channel, "user:7"); got != n {
			t.Errorf("%s counts %v of user:7, want %s", channel, got, n)
		}
	}
	for _, e := range []*Entry{one, two} {
		if d := r.Leave(t.Context(), e); !d.Run {
			t.Errorf("the disconnect event of %s does not run", e.id)
		}
	}
	for _, channel := range []string{"lobby", "zoo"} {
		if do(t, c, "exists", "x:presence:channel:"+channel) != int64(0) {
			t.Errorf("%s has a member", channel)
		}
	}
	if s := r.Stats(); !s.Up || s.Failed == 0 || s.Forgetting != 0 {
		t.Errorf("up is %v after %d failures with %d records to be removed, want true after some with none", s.Up, s.Failed, s.Forgetting)
	}
}

func TestARecordIsRemovedAfterAnotherProgramHasSpoiltItsCount(t *testing.T) {
	eachServer(t, func(t *testing.T, url string) {
		c := newClient(t, url)
		r := New(Config{Store: c, Prefix: "x:", Name: func() string { return "A" }, Presence: &Presence{Channels: []string{"*"}},
			Lost: func(*Lost) {}, Claimed: func() {}, Timeout: 10 * time.Second})
		defer r.Close(context.Background())
		e := r.Enter(t.Context(), "a1", func() Info { return Info{Channels: []string{"lobby", "zoo"}} })
		do(t, c, "hset", "x:presence:channel:lobby", "conn:a1", "mine")
		if d := r.Leave(t.Context(), e); !d.Run {
			t.Error("the disconnect event does not run")
		}
		if do(t, c, "hexists", "x:node:A", "a1") != int64(0) || do(t, c, "exists", "x:presence:channel:zoo") != int64(0) {
			t.Error("the record is there, or counts")
		}
	})
}
