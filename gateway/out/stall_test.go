package out

import (
	"testing"
	"time"
)

func TestWhatTheClientTakesIsProgress(t *testing.T) {
	const timeout = 10 * time.Second
	start := time.Now()
	for name, test := range map[string]struct {
		unsent []int64       // at the looks, one a second
		late   time.Duration // by which each look is
		over   int           // the look that finds the client too slow; 0: none
	}{
		"nothing":              {[]int64{9, 9, 9, 9, 9, 9, 9, 9, 9, 9}, 0, 10},
		"steadily":             {[]int64{99, 90, 80, 70, 60, 50, 40, 30, 20, 10, 9, 8, 7}, 0, 0},
		"at first":             {[]int64{9, 9, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8}, 0, 13},
		"nothing, a late look": {[]int64{9, 9, 9, 9, 9, 9, 9, 9, 9, 9}, 20 * time.Second, 10},
	} {
		var s stall
		now := start
		s.took(now)
		over := 0
		for i, unsent := range test.unsent {
			if s.next(now, timeout, true) != now.Add(timeout/looks) {
				t.Fatalf("%s: the next look is at %v", name, s.due.Sub(now))
			}
			now = s.due.Add(test.late)
			if s.over(now, timeout, unsent, true) {
				over = i + 1
				break
			}
		}
		if over != test.over {
			t.Errorf("%s: over at look %d, want %d", name, over, test.over)
		}
	}
}
