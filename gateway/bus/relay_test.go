package bus

import (
	"strings"
	"testing"

	"wsfpm/session"
)

func TestRelaysAreChecked(t *testing.T) {
	tests := []struct {
		relay Relay
		wrong string // part of the error; "" is right
	}{
		{Relay{"pub.*", "channel:{name}"}, ""},
		{Relay{"pub.*.end", "user:{name}"}, ""},
		{Relay{"*.pub", "channel:fixed"}, "our own prefix"},
		{Relay{"pub.*", "all"}, ""},
		{Relay{"pub.*", "channel:{name}-{name}"}, ""},
		{Relay{"pub", "all"}, "exactly one"},
		{Relay{"pub.*.*", "all"}, "exactly one"},
		{Relay{"pub.?.*", "all"}, "may not have"},
		{Relay{"pub.[a].*", "all"}, "may not have"},
		{Relay{`pub.\*`, "all"}, "may not have"},
		{Relay{"*", "all"}, "our own prefix"},
		{Relay{"w*", "all"}, "our own prefix"},
		{Relay{"ws:*", "all"}, "our own prefix"},
		{Relay{"ws:user:*", "user:{name}"}, "our own prefix"},
		{Relay{"wsx*", "all"}, ""},
		{Relay{"pub.*", ""}, "to:"},
		{Relay{"pub.*", "{name}"}, "to:"},
		{Relay{"pub.*", "self"}, "to:"},
		{Relay{"pub.*", "channel:{nam}"}, "braces"},
	}
	for _, tt := range tests {
		_, err := newRelays([]Relay{tt.relay}, []string{"ws:"})
		if tt.wrong == "" && err != nil {
			t.Errorf("%v: %v", tt.relay, err)
		}
		if tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)) {
			t.Errorf("%v: got %v, want %q", tt.relay, err, tt.wrong)
		}
	}
	twice := Relay{"pub.*", "all"}
	if _, err := newRelays([]Relay{twice, twice}, []string{"ws:"}); err == nil {
		t.Error("the same pattern twice is not refused")
	}
}

func TestRelayTakesWhatTheStarMatched(t *testing.T) {
	r, err := newRelay(Relay{"pub.*.end", "channel:{name}/{name}"}, []string{"ws:"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.address("pub.a.b.end")
	if want := session.Channel("a.b/a.b"); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, channel := range []string{"pub.end", "pub.a", "xpub.a.end", "pub.*.end"} {
		if got, err := r.address(channel); err == nil {
			t.Errorf("%s: got %v, want an error", channel, got)
		}
	}
}

func FuzzRelay(f *testing.F) {
	f.Add("pub.*", "channel:{name}", "ws:", "pub.a", "user:7")
	f.Add("a*b", "all", "ab", "ab", "")
	f.Add("*x", "user:{name}", "x", "xx", "x")
	f.Fuzz(func(t *testing.T, pattern, to, prefix, channel, own string) {
		if prefix == "" {
			return // New refuses it
		}
		r, err := newRelay(Relay{pattern, to}, []string{prefix})
		if err != nil {
			return
		}
		if got, err := r.address(channel); err == nil {
			if again, err := session.ParseAddress(got.String()); err != nil || again != got {
				t.Errorf("%q gives the address %v, which is not valid: %v", channel, got, err)
			}
		}
		if _, err := r.address(prefix + own); err == nil {
			t.Errorf("pattern %q takes %q, a name under our own prefix", pattern, prefix+own)
		}
	})
}
