package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// zero is when the fabricated histories begin.
var zero = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return zero.Add(time.Duration(seconds * float64(time.Second))) }

// history is a fabricated one: a session that was let in, and what else is known.
type history struct {
	*session
	v *verdict
}

func fabricate(closes bool) history {
	v := &verdict{seed: 7}
	s := &session{v: v, faults: &windows{}, pushes: &publications{}, tag: "mine", user: "u1", closes: closes}
	s.accepted("one-aaaaaa-x", []string{"c1"}, at(0))
	return history{s, v}
}

// say is a message and its answer.
func (h history) say(verb, with string, second float64) {
	text := h.asks(verb, with, at(second))
	h.frame(fmt.Sprintf("A %s %d %s", h.id, len(h.results), text), at(second+0.1))
}

// published notes pushes of p0 to an address that Redis has taken.
func (h history) published(address string, n int) {
	for k := range n {
		h.pushes.begin(line{"p0", address}, at(float64(k+1)))
		h.pushes.taken(line{"p0", address}, k, at(float64(k+1)))
	}
}

// broken notes a fault that lasted.
func (h history) broken(p part, from, to float64) {
	h.faults.all = append(h.faults.all, &window{part: p, node: both, what: "a fault", begin: at(from), end: at(to)})
}

// violated wants exactly these invariants to be violated.
func violated(t *testing.T, v *verdict, want ...invariant) {
	t.Helper()
	v.settle(func(doubt) bool { return false })
	for i := range invariants {
		if got := v.violations(i) > 0; got != slices.Contains(want, i) {
			t.Errorf("%v violated: %v, want %v; messages:\n%s", i, got, !got, strings.Join(v.texts(), "\n"))
		}
	}
	for _, text := range v.texts() {
		if !strings.Contains(text, "violated, seed 7: ") {
			t.Errorf("the message %q does not name the invariant and the seed", text)
		}
	}
}

// story is a fabricated history and the invariants that it violates.
type story struct {
	tell func(history)
	want []invariant
}

func tell(t *testing.T, stories map[string]story) {
	for name, s := range stories {
		t.Run(name, func(t *testing.T) {
			h := fabricate(false)
			s.tell(h)
			violated(t, h.v, s.want...)
		})
	}
}

func TestAnswersAreChecked(t *testing.T) {
	tell(t, map[string]story{
		"all is well": {func(h history) {
			h.frame("H one-aaaaaa-x mine", at(0))
			h.published("channel:c1", 2)
			h.published("channel:c2", 3)
			h.say("echo", "", 1)
			h.frame("P channel:c1 p0 0", at(1))
			h.say("join", "c2", 1.5)
			h.frame("P channel:c2 p0 1", at(2))
			h.frame("P channel:c1 p0 1 and more", at(2))
			h.frame("P channel:c2 p0 2", at(3))
			h.ends(ending{code: 1000, mine: true}, at(4))
		}, nil},
		"another client's answer": {func(h history) {
			h.asks("echo", "", at(1))
			h.frame("A one-aaaaaa-y 1 theirs 1 echo", at(1))
		}, []invariant{ownAnswer, inOrder}},
		"another client's greeting": {func(h history) { h.frame("H one-aaaaaa-y mine", at(0)) }, []invariant{ownAnswer}},
		"an answer to nothing":      {func(h history) { h.frame("A one-aaaaaa-x 1 mine 1 echo", at(0)) }, []invariant{ownAnswer}},
		"what no script wrote":      {func(h history) { h.frame("<b>Warning</b>", at(0)) }, []invariant{ownAnswer}},
		"an answer out of order": {func(h history) {
			h.asks("echo", "", at(1))
			h.asks("echo", "", at(1))
			h.frame("A one-aaaaaa-x 2 mine 2 echo", at(1))
		}, []invariant{inOrder}},
		"half an answer": {func(h history) {
			h.asks("echo", "", at(1))
			h.frame("A one-aaaaaa-x 1 mine 1 ec", at(1))
		}, []invariant{inOrder}},
		"half a line of a stream": {func(h history) {
			h.asks("stream", "3", at(1))
			h.frame("S one-aaaaaa-x 1 1 mine", at(1))
			h.frame("S one-aaaaaa", at(1))
		}, []invariant{ownAnswer, inOrder}},
		"a stream's line to another message": {func(h history) {
			h.asks("echo", "", at(1))
			h.frame("S one-aaaaaa-x 1 1 mine", at(1))
		}, []invariant{ownAnswer}},
		"a stream's line twice": {func(h history) {
			h.asks("stream", "4", at(1))
			h.frame("S one-aaaaaa-x 1 1 mine", at(1))
			h.frame("S one-aaaaaa-x 1 1 mine", at(1))
		}, []invariant{inOrder}},
		"a broken answer was delivered": {func(h history) { h.say("die", "", 1) }, []invariant{noSilence}},
	})
}

func TestPushesAreChecked(t *testing.T) {
	tell(t, map[string]story{
		"a push for another client": {func(h history) {
			h.published("user:u2", 1)
			h.frame("P user:u2 p0 0", at(1))
		}, []invariant{rightPush}},
		"a push to a channel that was left": {func(h history) {
			h.published("channel:c1", 2)
			h.say("leave", "c1", 0.5)
			h.frame("P channel:c1 p0 1", at(2))
		}, []invariant{rightPush}},
		"a push of another form":          {func(h history) { h.frame("P channel:c1 0", at(1)) }, []invariant{rightPush}},
		"a push that was never published": {func(h history) { h.frame("P channel:c1 p0 0", at(1)) }, []invariant{rightPush}},
		"a push twice": {func(h history) {
			h.published("channel:c1", 1)
			h.frame("P channel:c1 p0 0", at(1))
			h.frame("P channel:c1 p0 0", at(1))
		}, []invariant{rightPush}},
		"pushes out of order": {func(h history) {
			h.published("channel:c1", 2)
			h.broken(partRedis, 0, 9)
			h.frame("P channel:c1 p0 1", at(2))
			h.frame("P channel:c1 p0 0", at(2))
		}, []invariant{inOrder}},
		"a push is missing": {func(h history) {
			h.published("channel:c1", 3)
			h.frame("P channel:c1 p0 0", at(1))
			h.frame("P channel:c1 p0 2", at(3))
		}, []invariant{inOrder}},
		"the first push after a join is missing": {func(h history) {
			h.published("channel:c2", 3)
			h.say("join", "c2", 0.5)
			h.frame("P channel:c2 p0 2", at(3))
		}, []invariant{inOrder}},
		"a push is missing while Redis was away": {func(h history) {
			h.published("channel:c1", 3)
			h.broken(partRedis, 1.5, 2.5)
			h.frame("P channel:c1 p0 0", at(1))
			h.frame("P channel:c1 p0 2", at(3))
		}, nil},
		"a push before the answer that asks for it": {func(h history) {
			h.pushes.begin(line{"smine", "channel:c1"}, at(1))
			h.asks("push", "c1 0", at(1))
			h.frame("P channel:c1 smine 0", at(1))
		}, []invariant{inOrder}},
	})
}

func TestFailuresAndEndsAreChecked(t *testing.T) {
	tell(t, map[string]story{
		"a failure while all was well": {func(h history) {
			h.asks("echo", "", at(5))
			h.broken(partFPM, 1, 2)
			h.frame(sorry, at(5))
		}, []invariant{noSilence}},
		"a failure while PHP-FPM was away": {func(h history) {
			h.asks("echo", "", at(1.5))
			h.broken(partFPM, 1, 2)
			h.frame(sorry, at(5))
		}, nil},
		"a script that fails":      {func(h history) { h.asks("fatal", "", at(1)); h.frame(sorry, at(1)) }, nil},
		"an error without a cause": {func(h history) { h.frame(sorry, at(1)) }, []invariant{noSilence}},
		"no answer at all": {func(h history) {
			h.asks("echo", "", at(1))
			h.silent(bound, at(60))
		}, []invariant{noSilence}},
		"cut off while all was well":     {func(h history) { h.ends(ending{code: 1006}, at(1)) }, []invariant{noSilence}},
		"cut off while the link was cut": {func(h history) { h.broken(partClients, 0, 1); h.ends(ending{code: 1006}, at(1)) }, nil},
		"drained while nothing drained":  {func(h history) { h.ends(ending{code: 1012}, at(1)) }, []invariant{noSilence}},
		"drained":                        {func(h history) { h.broken(partNode, 0, 1); h.ends(ending{code: 1012}, at(1)) }, nil},
		"a protocol error of no client":  {func(h history) { h.broken(partClients, 0, 9); h.ends(ending{code: 1002}, at(1)) }, []invariant{noSilence}},
		"too slow, and it was not":       {func(h history) { h.ends(ending{code: 4408}, at(1)) }, []invariant{noSilence}},
		"1011 on a route that answers":   {func(h history) { h.asks("fatal", "", at(1)); h.ends(ending{code: 1011}, at(1)) }, []invariant{noSilence}},
	})
}

func TestASessionThatEndsWithAFailedEventIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		verb string
		code int
		want []invariant
	}{
		"a script that fails":          {"odd", 1011, nil},
		"a failure while all was well": {"echo", 1011, []invariant{noSilence}},
		"overload while all was well":  {"echo", 1013, []invariant{noSilence}},
		"some other code":              {"odd", 1008, []invariant{noSilence}},
	} {
		t.Run(name, func(t *testing.T) {
			h := fabricate(true)
			h.asks(c.verb, "", at(1))
			h.ends(ending{code: c.code}, at(1))
			violated(t, h.v, c.want...)
		})
	}
}

// good is the ledger of a session with two messages.
const good = `b one-aaaaaa-x:0 connect 0 mine 0
e one-aaaaaa-x:0
b one-aaaaaa-x:1 message 1 mine 1
e one-aaaaaa-x:1
b one-aaaaaa-x:2 message 2 mine 2
e one-aaaaaa-x:2
b one-aaaaaa-x:3 disconnect 1000 mine 0
e one-aaaaaa-x:3
`

func TestTheLedgerIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string // replaced in the good one
		failed   bool   // the first message was answered with an error
		fault    part
		want     []invariant
	}{
		"all is well":                    {"", "", false, partClients, nil},
		"a message ran twice":            {"e one-aaaaaa-x:1\n", "e one-aaaaaa-x:1\nb one-aaaaaa-x:1 message 1 mine 1\n", false, partFPM, []invariant{ranOnce, inOrder}},
		"a failed message ran twice":     {"e one-aaaaaa-x:1\n", "b one-aaaaaa-x:1 message 1 mine 1\n", true, partFPM, []invariant{ranOnce}},
		"an answered message never ran":  {"b one-aaaaaa-x:1 message 1 mine 1\ne one-aaaaaa-x:1\n", "", false, partFPM, []invariant{ranOnce}},
		"a failed message never ran":     {"b one-aaaaaa-x:1 message 1 mine 1\ne one-aaaaaa-x:1\n", "", true, partFPM, nil},
		"connect never ran":              {"b one-aaaaaa-x:0 connect 0 mine 0\ne one-aaaaaa-x:0\n", "", false, partFPM, []invariant{ranOnce, oneDisconnect}},
		"a message of another client":    {"message 2 mine 2", "message 2 theirs 2", false, partFPM, []invariant{ownAnswer}},
		"a message under another number": {"message 2 mine 2", "message 2 mine 3", false, partFPM, []invariant{inOrder}},
		"an answered message overlapped": {"e one-aaaaaa-x:1\nb one-aaaaaa-x:2 message 2 mine 2\n",
			"b one-aaaaaa-x:2 message 2 mine 2\ne one-aaaaaa-x:1\n", false, partFPM, []invariant{inOrder}},
		"a failed message overlapped": {"e one-aaaaaa-x:1\nb one-aaaaaa-x:2 message 2 mine 2\n",
			"b one-aaaaaa-x:2 message 2 mine 2\ne one-aaaaaa-x:1\n", true, partFPM, nil},
		"messages out of order": {"b one-aaaaaa-x:1 message 1 mine 1\ne one-aaaaaa-x:1\nb one-aaaaaa-x:2 message 2 mine 2\ne one-aaaaaa-x:2\n",
			"b one-aaaaaa-x:2 message 2 mine 2\ne one-aaaaaa-x:2\nb one-aaaaaa-x:1 message 1 mine 1\ne one-aaaaaa-x:1\n", false, partFPM, []invariant{inOrder}},
		"two disconnects":                      {"e one-aaaaaa-x:3\n", "b one-aaaaaa-x:4 disconnect 1000 mine 0\n", false, partFPM, []invariant{oneDisconnect}},
		"no disconnect":                        {"b one-aaaaaa-x:3 disconnect 1000 mine 0\n", "", false, partClients, []invariant{oneDisconnect}},
		"no disconnect while PHP-FPM was away": {"b one-aaaaaa-x:3 disconnect 1000 mine 0\n", "", false, partFPM, nil},
		"no disconnect while the node died":    {"b one-aaaaaa-x:3 disconnect 1000 mine 0\n", "", false, partNode, nil},
		"a message that was never sent": {"b one-aaaaaa-x:3 disconnect 1000 mine 0\n",
			"b one-aaaaaa-x:3 message 3 mine 3\ne one-aaaaaa-x:3\nb one-aaaaaa-x:4 disconnect 1000 mine 0\n", false, partFPM, []invariant{ranOnce}},
		"a connect without a client ran twice": {"b one-aaaaaa-x:0 ", "b one-aaaaaa-z:0 connect 0 other 0\nb one-aaaaaa-z:0 connect 0 other 0\nb one-aaaaaa-x:0 ",
			false, partFPM, []invariant{ranOnce}},
		"a disconnect without a connect": {"b one-aaaaaa-x:0 ", "b one-aaaaaa-z:1 disconnect 1006 other 0\nb one-aaaaaa-x:0 ",
			false, partFPM, []invariant{oneDisconnect}},
	} {
		t.Run(name, func(t *testing.T) {
			h := fabricate(false)
			h.broken(c.fault, 0, 9)
			h.results = []outcome{answered, answered}
			if c.failed {
				h.results[0] = failed
			}
			h.ends(ending{code: 1000, mine: true}, at(5))
			l := newLedger(h.v, []*session{h.session})
			if !strings.Contains(good, c.old) {
				t.Fatalf("the good ledger has no %q", c.old)
			}
			if err := l.read(strings.NewReader(strings.Replace(good, c.old, c.new, 1))); err != nil {
				t.Fatal(err)
			}
			l.compare(h.faults)
			violated(t, h.v, c.want...)
		})
	}
}

func TestTheLedgerOfAnotherClientIsDetected(t *testing.T) {
	for ledgerText, want := range map[string]invariant{
		strings.ReplaceAll(good, "mine", "theirs"): ownAnswer,
		strings.ReplaceAll(good, "-x:", "-y:"):     ranOnce,
	} {
		h := fabricate(false)
		h.results = []outcome{answered, answered}
		h.ends(ending{code: 1000, mine: true}, at(5))
		l := newLedger(h.v, []*session{h.session})
		if err := l.read(strings.NewReader(ledgerText)); err != nil {
			t.Fatal(err)
		}
		l.compare(h.faults)
		violated(t, h.v, want)
	}
}

func TestAMessageBeforeACloseFrameMustRun(t *testing.T) {
	for _, ran := range []bool{true, false} {
		h := fabricate(false)
		h.asks("echo", "", at(1))
		h.asks("echo", "", at(1))
		h.closing()
		h.ends(ending{code: 1000, mine: true}, at(2))
		l := newLedger(h.v, []*session{h.session})
		text := good
		if !ran {
			text = strings.Replace(text, "b one-aaaaaa-x:2 message 2 mine 2\n", "", 1)
		}
		if err := l.read(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		l.compare(h.faults)
		if ran {
			violated(t, h.v)
		} else {
			violated(t, h.v, ranOnce)
		}
	}
}

func TestWhatIsNotGivenBackIsSeen(t *testing.T) {
	clean := func() map[string]float64 {
		return map[string]float64{
			"go_goroutines": 20, "process_open_fds": 30,
			"wsfpm_connections_opened_total": 9, `wsfpm_event_duration_seconds_count{event="disconnect",outcome="ok"}`: 9,
		}
	}
	p := &programme{base: [2]resources{{goroutines: 20, descriptors: 20}}}
	if left := p.leftovers(0, clean()); len(left) > 0 {
		t.Errorf("got %v, want nothing left", left)
	}
	for series, value := range map[string]float64{
		"go_goroutines": 60, "process_open_fds": 90, "wsfpm_connections": 1, "wsfpm_inbound_bytes": 1,
		`wsfpm_fpm_in_use{fpm="default"}`: 1, `wsfpm_fpm_settling{fpm="default"}`: 1,
		"wsfpm_redis_names": 1, "wsfpm_panics_total": 1, "wsfpm_connections_opened_total": 10,
	} {
		m := clean()
		m[series] = value
		if left := p.leftovers(0, m); len(left) != 1 {
			t.Errorf("%s %v: got %v, want one thing left", series, value, left)
		}
	}
	if left := p.leftovers(0, nil); len(left) == 0 {
		t.Error("a node without metrics: got nothing left")
	}
}

func TestTheNodesOwnAccountIsCompared(t *testing.T) {
	for failed, want := range map[string][]invariant{"ok": {oneDisconnect}, "cut": nil} {
		v := &verdict{seed: 7}
		p := &programme{t: t, verdict: v, counts: make(map[string]int)}
		p.account(0, map[string]float64{
			`wsfpm_build_info{node="one-aaaaaa",version="1"}`:                                 1,
			`wsfpm_event_duration_seconds_count{event="disconnect",outcome="` + failed + `"}`: 5,
		}, map[string]int{"one-aaaaaa": 1, "one-earlier": 70})
		violated(t, v, want...)
	}
}

func TestTheSameSeedIsTheSamePlan(t *testing.T) {
	if a, b := plan(3, 500, 1_000_000), plan(3, 500, 1_000_000); !slices.Equal(a, b) {
		t.Error("two plans of one seed differ")
	}
	if a, b := plan(3, 500, 1_000_000), plan(4, 500, 1_000_000); slices.Equal(a, b) {
		t.Error("the plans of two seeds are the same")
	}
	made := make(map[string]bool)
	last := int64(0)
	for _, f := range plan(3, 500, 1_000_000) {
		made[f.Lane+f.Kind] = true
		if f.After < last || f.After > 1_000_000 || f.Lasting <= 0 {
			t.Errorf("odd fault %v", f)
		}
		last = f.After
	}
	for _, l := range laneList() {
		for _, kind := range l.kinds {
			if !made[l.name+kind] {
				t.Errorf("no %s %s among 500 faults", l.name, kind)
			}
		}
	}
}
