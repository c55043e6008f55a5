package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// doubt is an event that failed while PHP-FPM was well. The node may have refused it
// as overloaded, or its time may have been over on a machine that stood still, both as
// documented; that is looked up when the node's log is complete.
type doubt struct {
	node     int
	id       string // of the connection, "" for a connect
	from, to time.Time
	message  string
}

// served is how many events PHP-FPM had answered for a node by a time.
type served struct {
	at time.Time
	n  float64
}

// settle checks every doubt by what excuses it.
func (v *verdict) settle(excused func(doubt) bool) {
	v.mu.Lock()
	all := v.doubts
	v.doubts = nil
	v.mu.Unlock()
	for _, d := range all {
		v.check(noSilence, excused(d), "%s", d.message)
	}
}

// failed checks a failed event: at once when there is an excuse, else at the end.
func (v *verdict) failed(excused bool, d doubt) {
	if excused {
		v.check(noSilence, true, "")
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.doubts = append(v.doubts, d)
}

// resolve looks up in the nodes' logs why events failed.
func (p *programme) resolve() {
	var logs [2][]stack.LogLine
	for i, node := range p.world.nodes {
		logs[i] = node.LogLines("warn", "event failed")
	}
	p.verdict.settle(func(d doubt) bool {
		for _, line := range logs[d.node] {
			if d.refused(line, p.served[d.node]) {
				return true
			}
		}
		return false
	})
}

// refused reports whether a node's log line says that the event was refused because
// of those that waited, and whether these would truly have had to wait for long; or that its
// time was over, and PHP-FPM stood still then.
func (d doubt) refused(line stack.LogLine, rate []served) bool {
	at, err := time.Parse(time.RFC3339Nano, line.Text("time"))
	if err != nil || at.Before(d.from) || at.After(d.to) {
		return false
	}
	if d.id != "" && line.Text("connection") != d.id || d.id == "" && line.Text("event") != "connect" {
		return false
	}
	switch line.Text("outcome") {
	case "timeout":
		return stoodStill(at, rate)
	case "overloaded":
		_, said, _ := strings.Cut(line.Text("error"), "overloaded: ")
		var waiting float64
		if _, err := fmt.Sscanf(said, "%f requests are waiting, expected wait", &waiting); err != nil {
			return false
		}
		return takesLong(waiting, at, rate)
	}
	return false
}

// stoodStill reports whether, in the time that an event has until at, either nothing was seen
// of the node for half of it, or PHP-FPM ended fewer events than the node gives it at once:
// then any event may have needed that long.
func stoodStill(at time.Time, rate []served) bool {
	begin := at.Add(-timeout)
	var first, before served
	for _, s := range rate {
		if !before.at.IsZero() && s.at.After(begin) && s.at.Sub(before.at) >= timeout/2 {
			return true
		}
		if first.at.IsZero() || !s.at.After(begin) {
			first = s
		}
		before = s
		if s.at.After(at) {
			break
		}
	}
	return before.at.After(first.at) && (before.n-first.n)*timeout.Seconds() < float64(workers/2)*before.at.Sub(first.at).Seconds()
}

// takesLong reports whether as many events as wait at a time need at least half of
// queue_wait, as fast as PHP-FPM answered in the two seconds before: the node knows no
// more than that when it refuses, and a machine that has stood still catches up
// afterwards. Its own figure is an average, and may be too high by some.
func takesLong(waiting float64, at time.Time, rate []served) bool {
	var first, last served
	for _, s := range rate {
		if s.at.After(at) {
			break
		}
		if first.at.IsZero() || s.at.Before(at.Add(-2*time.Second)) {
			first = s
		}
		last = s
	}
	over := last.at.Sub(first.at).Seconds()
	return over > 0 && waiting*over >= (last.n-first.n)*queueWait.Seconds()/2
}

func TestATimeoutNeedsAPoolThatStoodStill(t *testing.T) {
	steady := func(perLook float64) (rate []served) {
		for i := range 40 {
			rate = append(rate, served{at(0).Add(time.Duration(i) * time.Second / 4), float64(i) * perLook})
		}
		return rate
	}
	line := stack.LogLine{"time": at(5).Format(time.RFC3339Nano), "connection": "one-a", "event": "message", "outcome": "timeout"}
	mine := doubt{id: "one-a", from: at(3), to: at(6)}
	busy := steady(50)
	gap := append(append([]served{}, busy[:14]...), busy[19:]...)    // nothing seen from 3.25 to 4.75
	earlier := append(append([]served{}, busy[:4]...), busy[10:]...) // from 0.75 to 2.5
	for name, c := range map[string]struct {
		doubt doubt
		rate  []served
		want  bool
	}{
		"PHP answers":                 {mine, busy, false},
		"PHP answers one at a time":   {mine, steady(1), false},
		"PHP hardly answers":          {mine, steady(0.5), true},
		"nothing is seen of the node": {mine, gap, true},
		"nothing was seen before":     {mine, earlier, false},
		"another event":               {doubt{id: "one-a", from: at(6), to: at(7)}, gap, false},
		"nothing is known":            {mine, nil, false},
	} {
		if got := c.doubt.refused(line, c.rate); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestARefusalNeedsAPoolThatIsBusy(t *testing.T) {
	line := func(outcome, waiting string) stack.LogLine {
		return stack.LogLine{"time": at(5).Format(time.RFC3339Nano), "connection": "one-a", "event": "message", "outcome": outcome,
			"error": "fcgi: wait for a worker: overloaded: " + waiting + "; the script did not run"}
	}
	mine := doubt{id: "one-a", from: at(4), to: at(6)}
	const ninety = "90 requests are waiting, expected wait 5.027s"
	slow := []served{{at(0), 0}, {at(3), 60}, {at(7), 140}, {at(9), 9000}}
	quick := []served{{at(0), 0}, {at(3), 60}, {at(5), 460}, {at(9), 470}}
	stoodStill := []served{{at(0), 0}, {at(3), 60}, {at(5), 100}, {at(6), 900}}
	for name, c := range map[string]struct {
		doubt doubt
		line  stack.LogLine
		rate  []served
		want  bool
	}{
		"PHP is slow":                 {mine, line("overloaded", ninety), slow, true},
		"PHP is quick":                {mine, line("overloaded", ninety), quick, false},
		"PHP catches up":              {mine, line("overloaded", ninety), stoodStill, true},
		"few wait":                    {mine, line("overloaded", "9 requests are waiting, expected wait 5.027s"), slow, false},
		"it failed otherwise":         {mine, line("cut", ninety), slow, false},
		"another event":               {doubt{id: "one-a", from: at(6), to: at(7)}, line("overloaded", ninety), slow, false},
		"another connection":          {doubt{id: "one-b", from: at(4), to: at(6)}, line("overloaded", ninety), slow, false},
		"a message's, for a connect":  {doubt{from: at(4), to: at(6)}, line("overloaded", ninety), slow, false},
		"how quick PHP is is unknown": {mine, line("overloaded", ninety), nil, false},
	} {
		if got := c.doubt.refused(c.line, c.rate); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
