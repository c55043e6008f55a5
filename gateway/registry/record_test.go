package registry

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"wsfpm/session"
)

func aRecord() Record {
	return Record{
		Version: 3,
		Counted: []session.Address{session.Channel("lobby"), session.Channel("room 1"), session.User("acme:7")},
		Info: Info{
			Route: "/ws/{script}", Host: "example.com", Script: "/srv/app/ws/chat.php", URI: "/ws/chat?room=1",
			Address: "203.0.113.7", Port: "40123", HTTPS: true, Protocol: "wsfpm.v1", User: "acme:7",
			Channels: []string{"lobby", "room 1"}, State: "{\"a\":\"b\\n\\n\"}", Connected: time.UnixMilli(1795879931816).UTC(),
		},
	}
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	want := aRecord()
	for _, said := range []string{"", "*channel:lobby\tuser:acme:7\n+user:acme:7\tconn:c1"} {
		text := want.head("c1") + "\n\n" + said + "\n\n" + want.tail()
		if said == "" && len(text) > 1400 {
			t.Errorf("a usual record has %d bytes, want at most 1,400", len(text))
		}
		got, err := Decode(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

// A state, and the target of a request, may hold any bytes.
func TestARecordKeepsBytesThatAreNoText(t *testing.T) {
	want := aRecord()
	want.State, want.URI = "\xff\xfe\x01 state", "/ws/chat?name=J\xf6rg"
	if got, err := Decode(want.head("c1") + "\n\n\n\n" + want.tail()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestABadRecordIsAnError(t *testing.T) {
	r := aRecord()
	good := r.head("c1") + "\n\n\n\n" + r.tail()
	for name, bad := range map[string]string{
		"empty":      "",
		"no parts":   "1\nuser:a",
		"two parts":  "1\nuser:a\n\n{}",
		"version":    strings.Replace(good, "3", "x", 1),
		"no member":  "1\n\n\n\n{}",
		"a bad name": "1\nuser:a\nroom:x\n\n\n\n{}",
		"a user":     "1\nuser:a\n\n\n\n{\"user\":\"a\\nb\"}",
		"a channel":  "1\nuser:a\n\n\n\n{\"channels\":[\"\"]}",
		"no JSON":    "1\nuser:a\n\n\n\n{",
		"too long":   good + strings.Repeat(" ", MaxRecord),
	} {
		if _, err := Decode(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTransitionsAreRead(t *testing.T) {
	got := transitions("*user:7\tconn:c1\n+channel:a b\tuser:7\n\n?x\n-channel:l\tconn:c2\n_user:9\tconn:c3\n!channel:m\tconn:c2\n+nonsense")
	want := []Transition{
		{session.User("7"), session.Conn("c1"), true, true, false},
		{session.Channel("a b"), session.User("7"), true, false, false},
		{session.Channel("l"), session.Conn("c2"), false, false, false},
		{session.User("9"), session.Conn("c3"), false, true, false},
		{session.Channel("m"), session.Conn("c2"), false, false, true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !leftUser(got) || leftUser(got[:3]) {
		t.Error("the user's last connection is not found")
	}
}

func TestPresencePatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"room-*", "room-1", true}, {"room-*", "room", false}, {"*", "", true}, {"*", "x", true}, {"a*b*c", "abc", true},
		{"a*b*c", "axxbyyc", true}, {"a*b*c", "acb", false}, {"a*a", "a", false}, {"lobby", "lobby", true}, {"lobby", "lobby2", false},
		{"*:x", "1:x", true}, {"[a]*", "a", false}, {"a**b", "ab", true},
	} {
		if got := matches(c.pattern, c.name); got != c.want {
			t.Errorf("%q on %q: got %v", c.pattern, c.name, got)
		}
	}
	p := Presence{Users: true, Channels: []string{"room-*", "lobby"}}
	got := p.Names(session.Membership{User: "7", Channels: []string{"room-2", "other", "lobby", "room-1"}})
	want := []session.Address{session.Channel("lobby"), session.Channel("room-1"), session.Channel("room-2"), session.User("7")}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzDecode(f *testing.F) {
	r := aRecord()
	f.Add(r.head("c1") + "\n\n*channel:lobby\tuser:acme:7\n\n" + r.tail())
	f.Add("1\nconn:c\n\n\n\n{}")
	f.Add("0\n\n\n\n\n{\"user\":\"\\n0\"}")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Decode(text)
		_ = version(text)
		_ = transitions(text)
		if err != nil {
			return
		}
		again, err := Decode(r.head("c") + "\n\n\n\n" + r.tail())
		if err != nil || again.Version != r.Version || !slices.Equal(again.Counted, r.Counted) || again.User != r.User || again.State != r.State {
			t.Errorf("got %+v, %v, want %+v", again, err, r)
		}
	})
}
