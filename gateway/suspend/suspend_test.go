package suspend

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestTheTimeOfASuspensionCounts(t *testing.T) {
	var slept time.Duration
	c := Clock(func() time.Duration { return slept })
	began := c.Now()
	slept += time.Hour
	if d := c.Since(began); d < time.Hour || d > time.Hour+time.Minute {
		t.Errorf("got %v, want an hour", d)
	}
	if d := c.Since(c.Now()); d < 0 || d > time.Minute {
		t.Errorf("got %v, want nothing", d)
	}
}

// The kernel's own count of the time since the start has suspensions in it (proc_uptime(5)).
func TestTheClocksOfTheMachineAgree(t *testing.T) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Skip(err)
	}
	up, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	if slept := Slept(); slept < 0 || slept > time.Duration(up*float64(time.Second)) {
		t.Errorf("the machine has slept for %v of %v s", slept, up)
	}
	if d := Clock(nil).Since(Clock(nil).Now()); d < 0 || d > time.Minute {
		t.Errorf("got %v, want nothing", d)
	}
}
