package table

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"wsfpm/gateway/live"
)

// full is figures with more of everything than there is room.
func full(text string) (f live.Figures, failures Failures) {
	f = live.Figures{
		Time: time.Now(), Seconds: 2, Node: text, NotReady: text, Connections: 1 << 30, Events: map[string]int64{"message": 1 << 40},
		Redis: live.Redis{State: "up", Received: 1 << 40}, Log: live.Log{State: "live", Entries: 1 << 30, Span: 3600}, Queued: 1 << 40,
	}
	for range 10 {
		f.Pools = append(f.Pools, live.Pool{Name: text, Down: true})
		f.Scripts = append(f.Scripts, live.Script{Script: text, Events: 1 << 40, Run: live.Quantiles{P50: 1e6, P99: 1e6}})
		f.Users = append(f.Users, live.Busy{Name: text, Events: 1 << 40})
		f.Slow = append(f.Slow, live.Slow{Connection: text, User: text, Queued: 1 << 40})
	}
	failures.Add([]live.Record{{Kind: text, User: text, Outcome: text, Error: text}})
	return f, failures
}

func TestEveryLineFitsTheTerminal(t *testing.T) {
	for _, text := range []string{"", "x", strings.Repeat("long ", 100), strings.Repeat("世界", 50), "\x1b[2J\u202e\n\u009b" + strings.Repeat("y", 90)} {
		f, failures := full(text)
		for _, size := range [][2]int{{80, 24}, {81, 25}, {200, 60}, {60, 10}, {20, 3}, {1, 1}} {
			lines := Lines(&f, failures, size[0], size[1])
			if len(lines) > size[1] {
				t.Errorf("%q: %d lines on a terminal of %v", text, len(lines), size)
			}
			for _, line := range lines {
				if utf8.RuneCountInString(line) > size[0] || strings.ContainsAny(line, "\x1b\u202e\n\u009b") {
					t.Errorf("%q on %v: %q", text, size, line)
				}
			}
		}
	}
}

func TestEverySectionHasRoomOnTwentyFourLines(t *testing.T) {
	f, failures := full("name")
	f.Pools = f.Pools[:1]
	screen := strings.Join(Lines(&f, failures, 80, 24), "\n")
	for _, title := range []string{"POOL", "SCRIPT", "USER", "ADDRESS", "SLOW READER", "LAST FAILURES"} {
		if !strings.Contains(screen, title) {
			t.Errorf("%s has no room:\n%s", title, screen)
		}
	}
}

func TestNumbersAreShort(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 0.5: "0.5", 3: "3", 12.4: "12", 9999: "9999", 12345: "12.3k", 1234567: "1.2M", 3e9: "3.0G"} {
		if got := number(n); got != want {
			t.Errorf("%v: got %s, want %s", n, got, want)
		}
	}
	for s, want := range map[float64]string{0: "–", 0.00012: "0.12 ms", 0.0123: "12 ms", 0.5: "500 ms", 1.25: "1.2 s"} {
		if got := duration(s); got != want {
			t.Errorf("%v: got %s, want %s", s, got, want)
		}
	}
}

func TestFailuresAreNewestFirstAndBounded(t *testing.T) {
	var f Failures
	for i := range 100 {
		f.Add([]live.Record{{Kind: fmt.Sprint(i)}})
	}
	if len(f) != mostFailures || f[0].Kind != "99" {
		t.Errorf("got %d, the first %s", len(f), f[0].Kind)
	}
}

func TestAFailureIsShownByItsCause(t *testing.T) {
	for why, want := range map[string]string{
		`PHP reported "PHP Fatal error:  Uncaught RuntimeException…"`: "RuntimeException…",
		`PHP reported "PHP Parse error:  syntax error"`:               "Parse error:  syntax error",
		`no end after "data"`: `no end after "data"`,
	} {
		if got := cause(why); got != want {
			t.Errorf("%s: got %s, want %s", why, got, want)
		}
	}
}
