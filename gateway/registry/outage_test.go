package registry

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What changes again and again does not put the time off at which changes are written.
func TestAChangeIsWrittenWithinASecondHoweverManyFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newModelStore()
		a := newTestNode(t, s, "A")
		a.SetPresence(&Presence{})
		busy, quiet := a.enter("a1", "7"), a.enter("a2", "8")
		pass(10 * time.Second)
		a.change(quiet, "8", "lobby")
		for i := range 5 {
			a.change(busy, "7", fmt.Sprint("room", i))
			pass(changeTime / 4)
		}
		s.mu.Lock()
		record := s.model.records["A1"]["a2"].text
		s.mu.Unlock()
		if !strings.Contains(record, "lobby") {
			t.Errorf("got the record %q, want the channel in it", record)
		}
		a.Close(t.Context())
	})
}
