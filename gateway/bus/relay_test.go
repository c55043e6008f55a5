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
		{Relay{Pattern: "pub.*", To: "channel:{name}"}, ""},
		{Relay{Pattern: "pub.*.end", To: "user:{name}"}, ""},
		{Relay{Pattern: "*.pub", To: "channel:fixed"}, "our own prefix"},
		{Relay{Pattern: "pub.*", To: "all"}, ""},
		{Relay{Pattern: "pub.*", To: "channel:{name}-{name}"}, ""},
		{Relay{Pattern: "pub", To: "all"}, "exactly one"},
		{Relay{Pattern: "pub.*.*", To: "all"}, "exactly one"},
		{Relay{Pattern: "pub.?.*", To: "all"}, "may not have"},
		{Relay{Pattern: "pub.[a].*", To: "all"}, "may not have"},
		{Relay{Pattern: `pub.\*`, To: "all"}, "may not have"},
		{Relay{Pattern: "*", To: "all"}, "our own prefix"},
		{Relay{Pattern: "w*", To: "all"}, "our own prefix"},
		{Relay{Pattern: "ws:*", To: "all"}, "our own prefix"},
		{Relay{Pattern: "ws:user:*", To: "user:{name}"}, "our own prefix"},
		{Relay{Pattern: "wsx*", To: "all"}, ""},
		{Relay{Pattern: "pub.*", To: ""}, "to:"},
		{Relay{Pattern: "pub.*", To: "{name}"}, "to:"},
		{Relay{Pattern: "pub.*", To: "self"}, "to:"},
		{Relay{Pattern: "pub.*", To: "channel:{nam}"}, "braces"},
	}
	for _, tt := range tests {
		_, err := newRelays([]Relay{tt.relay}, "ws:")
		if tt.wrong == "" && err != nil {
			t.Errorf("%v: %v", tt.relay, err)
		}
		if tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)) {
			t.Errorf("%v: got %v, want %q", tt.relay, err, tt.wrong)
		}
	}
	twice := Relay{Pattern: "pub.*", To: "all"}
	if _, err := newRelays([]Relay{twice, twice}, "ws:"); err == nil {
		t.Error("the same pattern twice is not refused")
	}
}

func TestRelayTakesWhatTheStarMatched(t *testing.T) {
	r, err := newRelay(Relay{Pattern: "pub.*.end", To: "channel:{name}/{name}"}, "ws:")
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := r.address("pub.a.b.end")
	if want := session.Channel("a.b/a.b"); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, channel := range []string{"pub.end", "pub.a", "xpub.a.end", "pub.*.end"} {
		if got, _, err := r.address(channel); err == nil {
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
		r, err := newRelay(Relay{Pattern: pattern, To: to}, prefix)
		if err != nil {
			return
		}
		if got, _, err := r.address(channel); err == nil {
			if again, err := session.ParseAddress(got.String()); err != nil || again != got {
				t.Errorf("%q gives the address %v, which is not valid: %v", channel, got, err)
			}
		}
		if _, _, err := r.address(prefix + own); err == nil {
			t.Errorf("pattern %q takes %q, a name under our own prefix", pattern, prefix+own)
		}
	})
}
