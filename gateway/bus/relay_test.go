package bus

import (
	"strings"
	"testing"

	"wsfpm/session"
)

func TestRelayTakesWhatTheStarMatched(t *testing.T) {
	r := Relay{Pattern: "pub.*.end", To: "channel:{name}/{name}"}
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
		head, tail, wild := strings.Cut(pattern, "*")
		if prefix == "" || !wild || strings.Contains(tail, "*") || strings.HasPrefix(head, prefix) || strings.HasPrefix(prefix, head) {
			return // package config refuses it
		}
		r := Relay{Pattern: pattern, To: to}
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
