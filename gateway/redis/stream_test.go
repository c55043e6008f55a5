package redis

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

func TestRoundReturnsWhatWasAppendedAndWhetherItsIDIsThere(t *testing.T) {
	for name, url := range servers(t) {
		t.Run(name, func(t *testing.T) {
			c := newStore(t, url)
			r := openReader(t, c, "ws:log")
			if round, err := r.Round(t.Context(), "", 10, 0, true); err != nil || len(round.Entries) > 0 {
				t.Fatalf("got %+v, %v of no stream, want nothing", round, err)
			}
			fields := [][]string{{"to", "all", "data", "a"}, {"to", "user:7", "binary", "\xff\x00"}, {"", ""}}
			ids, err := c.Append(t.Context(), "ws:log", fields...)
			if err != nil || len(ids) != 3 {
				t.Fatalf("got ids %v, %v", ids, err)
			}
			round, err := r.Round(t.Context(), "", 2, 0, true)
			if err != nil || len(round.Entries) != 2 || round.Present {
				t.Fatalf("got %+v, %v, want two entries", round, err)
			}
			for i, e := range round.Entries {
				if e.ID != ids[i] || !reflect.DeepEqual(e.Fields, fields[i]) {
					t.Errorf("got %+v, want %s %q", e, ids[i], fields[i])
				}
			}
			round, err = r.Round(t.Context(), ids[1], 10, time.Minute, false)
			if err != nil || len(round.Entries) != 1 || !round.Present || round.Info != "" || round.Refused != nil {
				t.Errorf("got %+v, %v, want the third entry at once", round, err)
			}
			if err := r.Trim(t.Context(), ids[2]); err != nil {
				t.Error(err)
			}
			if err := c.redis.Del(t.Context(), "ws:log").Err(); err != nil {
				t.Error(err)
			}
			if round, err = r.Round(t.Context(), ids[1], 10, 0, true); err != nil || round.Present {
				t.Errorf("got %+v, %v, want the entry gone", round, err)
			}
			if real := name == "real"; strings.Contains(round.Info, "master_replid:") != real || (round.Refused == nil) != real {
				t.Errorf("got info %q and %v", round.Info, round.Refused)
			}
		})
	}
}

// The embedded server has no MULTI that fails, so this needs a real one.
func TestAppendIsAllOrNothing(t *testing.T) {
	stack.Integration(t)
	s := stack.Redis(t, stack.RedisOptions{})
	c := newStore(t, s.URL())
	s.Do(t, "acl", "setuser", "default", "-xadd")
	ids, err := c.Append(t.Context(), "ws:log", []string{"a", "1"}, []string{"b", "2"})
	if !Refused(err) {
		t.Errorf("got %v, %v, want a refusal", ids, err)
	}
	s.Do(t, "acl", "setuser", "default", "+xadd")
	if n := s.Do(t, "xlen", "ws:log"); n != "0" {
		t.Errorf("%s entries are stored", n)
	}
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Append(ctx, "ws:log", []string{"a", "1"}); err == nil || Refused(err) {
		t.Errorf("got %v, want an error that leaves open whether it is stored", err)
	}
	s.Resume()
}

func TestAReaderNeverConnectsAgain(t *testing.T) {
	stack.Integration(t)
	s := stack.Redis(t, stack.RedisOptions{})
	c := newStore(t, s.URL())
	r := openReader(t, c, "ws:log")
	s.Do(t, "client", "kill", "type", "normal", "skipme", "yes")
	for range 3 {
		if round, err := r.Round(t.Context(), "", 10, 0, true); err == nil {
			t.Fatalf("got %+v on a connection that was killed", round)
		}
	}
	if s.Do(t, "ping") != "PONG" {
		t.Error("Redis does not answer")
	}
}

func TestCloseWakesAReader(t *testing.T) {
	for name, url := range servers(t) {
		t.Run(name, func(t *testing.T) {
			r := openReader(t, newStore(t, url), "ws:log")
			ended := make(chan error)
			go func() {
				_, err := r.Round(t.Context(), "", 10, time.Minute, false)
				ended <- err
			}()
			r.Close()
			if err := <-ended; err == nil {
				t.Error("got no error")
			}
		})
	}
}

func TestMissingNamesTheRights(t *testing.T) {
	stack.Integration(t)
	s := stack.Redis(t, stack.RedisOptions{})
	for _, tt := range []struct{ rights, want string }{
		{"~ws:log +xread +xrange +xadd +xtrim +multi +exec", ""},
		{"~ws:log +xread +xrange +xadd +multi +exec", "+xtrim"},
		{"~ws:log +xread +xrange +xtrim +exec", "+xadd +multi"},
		{"~other +xread +xrange +xadd +xtrim +multi +exec", "~ws:log"},
		{"~ws:log +xrange", "+xread +xadd +xtrim +multi +exec"},
		{"~ws:log +xread +xrange +xadd +xtrim +multi", "+exec"},
	} {
		s.Do(t, append([]any{"acl", "setuser", "ws", "reset", "on", ">secret"}, fields(tt.rights)...)...)
		c := newStore(t, strings.Replace(s.URL(), "redis://", "redis://ws:secret@", 1))
		rights, err := openReader(t, c, "ws:log").Missing(t.Context())
		if err != nil || strings.Join(rights, " ") != tt.want {
			t.Errorf("%s: got %v, %v, want %s", tt.rights, rights, err, tt.want)
		}
	}
	s.Do(t, "acl", "setuser", "ws", "reset", "on", ">secret", "~ws:log", "+xread", "+xrange", "+xadd", "+xtrim", "+multi", "+exec")
	c := newStore(t, "redis://ws:secret@"+s.Addr+"/3")
	if rights, err := openReader(t, c, "ws:log").Missing(t.Context()); err != nil || strings.Join(rights, " ") != "+select" {
		t.Errorf("in database 3: got %v, %v", rights, err)
	}
	for url, want := range map[string]string{
		"redis://ws:wrong@" + s.Addr + "/3":      "WRONGPASS",
		"redis://" + s.Addr + "/999":             "out of range",
		"redis://" + stack.FreeAddress(t) + "/3": "refused",
		"redis://ws:wrong@" + s.Addr:             "WRONGPASS",
	} {
		if _, err := newStore(t, url).OpenReader(t.Context(), "ws:log"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", url, err, want)
		}
	}
	if n := s.Do(t, "exists", "ws:log"); n != "0" {
		t.Error("the look has made a stream")
	}
}

func fields(s string) (list []any) {
	for _, f := range strings.Fields(s) {
		list = append(list, f)
	}
	return list
}

func TestScriptsRunByTheirHashOrTheirSource(t *testing.T) {
	for name, url := range servers(t) {
		t.Run(name, func(t *testing.T) {
			c := newStore(t, url)
			s := NewScript(`redis.call('set', KEYS[1], ARGV[1]); return {ARGV[1], 7, false}`)
			for range 2 {
				got, err := c.Run(t.Context(), s, []string{"k"}, "v")
				if err != nil || !reflect.DeepEqual(got, []any{"v", int64(7), nil}) {
					t.Errorf("got %v, %v", got, err)
				}
			}
			if got, err := c.Do(t.Context(), "get", "none"); got != nil || err != nil {
				t.Errorf("got %v, %v, want nil", got, err)
			}
			replies := c.Pipeline(t.Context(), []any{"get", "k"}, []any{"get", "none"}, []any{"lpush", "k", "x"})
			if replies[0].Value != "v" || replies[1] != (Reply{}) || !Refused(replies[2].Err) {
				t.Errorf("got %v", replies)
			}
		})
	}
}
