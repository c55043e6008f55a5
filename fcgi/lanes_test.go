package fcgi

import (
	"strings"
	"testing"
)

func TestLanesAreServedThreeToOneAndLowLast(t *testing.T) {
	q := newQueue()
	for range 6 {
		q.add(LaneLow, "")
		q.add(LaneNormal, "")
		q.add(LaneHigh, "")
	}
	var order strings.Builder
	for w := q.next(9); w != nil; w = q.next(9) {
		order.WriteByte("HNL"[w.lane])
	}
	if got, want := order.String(), "HHHNHHHNNNNNLLLLLL"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTheLowestLaneHasAFloor(t *testing.T) {
	q := newQueue()
	for range 40 {
		q.add(LaneNormal, "")
		q.add(LaneHigh, "")
	}
	for range 9 {
		q.next(9) // while none waits in the lowest lane, its turns add up
	}
	low := q.add(LaneLow, "")
	if got := q.ahead(LaneLow, nil); got != 16+6 {
		t.Errorf("%d are ahead of a second one, want the 6 before the first, it, and 15 more", got)
	}
	q.remove(low, 9) // gives up, and comes again
	q.add(LaneLow, "")
	q.add(LaneLow, "")
	var order strings.Builder
	for w := q.next(9); w != nil; w = q.next(9) {
		order.WriteByte("HNL"[w.lane])
	}
	if got, want := order.String()[:24], "HHNHHHLNHHHNHHHNHHHNHHLH"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
