package registry

import (
	"context"
	"testing"
	"time"

	"wsfpm/session"
)

func TestAKeyThatAnotherProgramHasSpoiltConcernsItsMembersOnly(t *testing.T) {
	eachServer(t, func(t *testing.T, url string) {
		c := newClient(t, url)
		r := New(Config{Store: c, Prefix: "x:", Name: func() string { return "A" }, Presence: &Presence{Channels: []string{"*"}},
			Lost: func(*Lost) {}, Claimed: func() {}, Timeout: 10 * time.Second})
		defer r.Close(context.Background())
		do(t, c, "set", "x:presence:channel:spoilt", "mine")
		in := func(id, channel string) *Entry {
			m := session.Membership{User: id, Channels: []string{channel}}
			return r.Enter(t.Context(), id, func() Info { return Info{User: m.User, Channels: m.Channels} })
		}
		bad := in("u1", "spoilt")
		good := in("u2", "lobby")
		if got := do(t, c, "hget", "x:presence:channel:lobby", "user:u2"); got != "1" {
			t.Errorf("the lobby counts %v of u2, want 1", got)
		}
		if d := r.Leave(t.Context(), bad); !d.Run {
			t.Error("the disconnect event of the spoilt channel's member does not run")
		}
		if d := r.Leave(t.Context(), good); !d.Run {
			t.Error("the other one's does not run")
		}
		if got := do(t, c, "exists", "x:presence:channel:lobby"); got != int64(0) {
			t.Error("the lobby has a member")
		}
		if s := r.Stats(); !s.Up || s.Failed == 0 {
			t.Errorf("up is %v after %d failures, want true after some", s.Up, s.Failed)
		}
	})
}

// A record whose count another program has spoilt cannot be removed: it is not tried for ever.
func TestACountThatAnotherProgramHasSpoiltIsGivenUp(t *testing.T) {
	eachServer(t, func(t *testing.T, url string) {
		c := newClient(t, url)
		r := New(Config{Store: c, Prefix: "x:", Name: func() string { return "A" }, Presence: &Presence{Channels: []string{"*"}},
			Lost: func(*Lost) {}, Claimed: func() {}, Timeout: 10 * time.Second})
		e := r.Enter(t.Context(), "a1", func() Info { return Info{Channels: []string{"lobby"}} })
		do(t, c, "hset", "x:presence:channel:lobby", "conn:a1", "mine")
		if d := r.Leave(t.Context(), e); !d.Run {
			t.Error("the disconnect event does not run")
		}
		r.Close(context.Background())
		if s := r.Stats(); s.Forgetting != 0 || s.Failed == 0 {
			t.Errorf("%d records are still to be removed after %d failures, want none after some", s.Forgetting, s.Failed)
		}
	})
}
