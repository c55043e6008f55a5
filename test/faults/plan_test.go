package faults

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// fault is one thing that will break.
type fault struct {
	Number  int
	After   int64 // events that have ended by then
	Lane    string
	Kind    string
	Node    int           // 0 or 1, where the fault is one node's
	Size    int           // how many, or how much; by kind
	Lasting time.Duration // until it is mended
}

// String is one line of the plan.
func (f fault) String() string {
	return fmt.Sprintf("%4d  after %8d events  %-8s %-16s node %d  size %3d  %v", f.Number, f.After, f.Lane, f.Kind, f.Node+1, f.Size, f.Lasting)
}

// name is the fault in messages.
func (f fault) name() string { return fmt.Sprintf("fault %d (%s %s)", f.Number, f.Lane, f.Kind) }

// lane is a kind of fault that comes one at a time; those of different lanes
// meet.
type lane struct {
	name   string
	weight int // how many of a hundred faults
	kinds  []string
}

// laneList are all kinds of faults.
func laneList() []lane {
	return []lane{
		{"fpm", 40, []string{
			"worker-kill", "master-kill", "reload", "restart", "freeze", "backlog",
			"slow", "hang", "die", "fatal",
			"link-latency", "link-slices", "link-reset", "link-hole", "link-half",
		}},
		{"redis", 30, []string{
			"kill", "freeze", "client-pause", "kill-pubsub", "kill-normal", "overflow", "debug-sleep",
			"link-latency", "link-slices", "link-reset", "link-hole", "link-down",
		}},
		{"clients", 25, []string{
			"vanish", "stall", "flood", "drip",
			"link-latency", "link-slices", "link-reset", "link-hole", "link-down",
		}},
		{"gateway", 5, []string{"term", "kill", "hup"}},
	}
}

// plan draws n faults over a number of events. The same seed is the same plan.
// Every kind comes before any of its lane comes again.
func plan(seed uint64, n int, events int64) []fault {
	rng := rand.New(rand.NewPCG(seed, 0xfa017))
	var faults []fault
	decks := make(map[string][]string)
	for i := range n {
		l := drawLane(rng, i)
		if len(decks[l.name]) == 0 {
			deck := append([]string(nil), l.kinds...)
			rng.Shuffle(len(deck), func(a, b int) { deck[a], deck[b] = deck[b], deck[a] })
			decks[l.name] = deck
		}
		kind := decks[l.name][0]
		decks[l.name] = decks[l.name][1:]
		step := events / int64(n+1)
		faults = append(faults, fault{
			Number:  i + 1,
			After:   step*int64(i) + step/2 + rng.Int64N(step+1),
			Lane:    l.name,
			Kind:    kind,
			Node:    rng.IntN(2),
			Size:    1 + rng.IntN(100),
			Lasting: time.Duration(50+rng.IntN(longest(l.name, kind))) * time.Millisecond,
		})
	}
	return faults
}

// drawLane draws the lane of fault i by the lanes' weights.
func drawLane(rng *rand.Rand, i int) lane {
	lanes := laneList()
	if i < len(lanes) {
		return lanes[i] // even a short plan has all of them
	}
	at := rng.IntN(100)
	for _, l := range lanes {
		if at -= l.weight; at < 0 {
			return l
		}
	}
	return lanes[0]
}

// longest bounds how long a fault lasts, in milliseconds. What harms only one link
// or one kind of event may last longer than what stops everybody.
func longest(lane, kind string) int {
	switch {
	case lane == "fpm" && (kind == "link-hole" || kind == "freeze" || kind == "backlog"):
		return 800
	case lane == "fpm" && (kind == "master-kill" || kind == "restart"):
		return 1500
	case kind == "link-hole" || kind == "link-down":
		return 2000
	}
	return 1200
}

// printPlan is the whole plan as text.
func printPlan(faults []fault) string {
	var b strings.Builder
	for _, f := range faults {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}
