package config

import (
	"testing"
	"time"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "17": 17, "17B": 17, "64KiB": 64 << 10, "64 KiB": 64 << 10, "1MiB": 1 << 20, "2GiB": 2 << 30, "8589934591GiB": 8589934591 << 30,
	} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "KiB", "1KB", "1K", "1M", "1.5MiB", "-1", "-1KiB", "8589934592GiB", "99999999999999999999", "64 kib"} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"0": 0, "30s": 30 * time.Second, " 1m30s ": 90 * time.Second, "250ms": 250 * time.Millisecond} {
		var got Duration
		if err := got.UnmarshalText([]byte(text)); err != nil || time.Duration(got) != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "30", "-1s", "1 s", "s", "1d"} {
		var got Duration
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 10 * time.Minute: "10m", 24 * time.Hour: "24h", 90 * time.Second: "1m30s", time.Hour + time.Second: "1h0m1s"} {
		if got := Duration(d).String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestFractionsAndModes(t *testing.T) {
	for text, want := range map[string]Fraction{"50 %": 0.5, "50%": 0.5, "0.25": 0.25, "100 %": 1, "0": 0} {
		var got Fraction
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "50", "101 %", "NaN", "-0.1", "%"} {
		var got Fraction
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
	for text, want := range map[string]Mode{"0660": 0o660, "600": 0o600, "0o777": 0o777} {
		var got Mode
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "rw", "0999", "01777"} {
		var got Mode
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func FuzzValues(f *testing.F) {
	for _, s := range []string{"30s", "64KiB", "50 %", "0660", "-1", "1e9", "9223372036854775807ns"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var d, d2 Duration
		if d.UnmarshalText([]byte(s)) == nil && (d2.UnmarshalText([]byte(d.String())) != nil || d != d2) {
			t.Errorf("duration %q became %v, then %v", s, d, d2)
		}
		var n, n2 Size
		if n.UnmarshalText([]byte(s)) == nil && (n2.UnmarshalText([]byte(n.String())) != nil || n != n2 || n < 0) {
			t.Errorf("size %q became %v, then %v", s, n, n2)
		}
		var p, p2 Fraction
		if p.UnmarshalText([]byte(s)) == nil && (p2.UnmarshalText([]byte(p.String())) != nil || p != p2) {
			t.Errorf("fraction %q became %v, then %v", s, p, p2)
		}
		var m, m2 Mode
		if m.UnmarshalText([]byte(s)) == nil && (m2.UnmarshalText([]byte(m.String())) != nil || m != m2) {
			t.Errorf("mode %q became %v, then %v", s, m, m2)
		}
	})
}
