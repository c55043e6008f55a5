package gateway

import "testing"

func TestAWaveOfConnectionsIsOverWhenFewCome(t *testing.T) {
	var w wave
	for i, step := range []struct {
		opened int64
		over   bool
	}{
		{opened: 0}, {opened: 900}, {opened: 900}, // too few to matter
		{opened: 5000}, {opened: 9000}, {opened: 9100, over: true}, {opened: 9100},
		{opened: 9500}, {opened: 9900}, {opened: 10_200}, {opened: 10_210, over: true},
	} {
		if got := w.over(step.opened); got != step.over {
			t.Errorf("step %d, %d opened: got %v, want %v", i, step.opened, got, step.over)
		}
	}
}
