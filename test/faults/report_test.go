package faults

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"wsfpm/test/stack"
)

func newRand(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

// tables are what came of it, in Markdown.
func (p *programme) tables() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Faults\n\n`make faults SEED=%d EVENTS=%d FAULTS=%d`: %d events and %d faults in %v (%.0f events a second), %d clients, two nodes, %d PHP-FPM workers.\n"+
		"The longest wait for an answer, an error or the end of a connection was %v (allowed: %v).\nA node needed at most %.0f MiB.\n",
		p.verdict.seed, p.wanted, len(p.plan), p.events.Load(), p.broken(), p.took.Round(time.Second),
		float64(p.events.Load())/p.took.Seconds(), talkers, workers,
		p.longest.Round(time.Millisecond), bound, p.peakRSS/(1<<20))
	for i, w := range p.watched {
		fmt.Fprintf(&b, "Node %d worked below its limit of workers in %d of %d quarter seconds, in %d of them while events waited.\n", i+1, w.below, w.looks, w.waiting)
	}
	b.WriteString("\nRecovery: until both nodes reach PHP-FPM and no event waits for a worker, or have confirmed all names in Redis.\n\n" +
		"| fault | count | longest recovery |\n|---|---:|---:|\n")
	for _, kind := range slices.Sorted(maps.Keys(p.made)) {
		recovery := "–"
		if d, found := p.recovery[kind]; found {
			recovery = d.Round(time.Millisecond).String()
		}
		fmt.Fprintf(&b, "| %s | %d | %s |\n", kind, p.made[kind], recovery)
	}
	b.WriteString("\n| event | count |\n|---|---:|\n")
	for _, what := range slices.Sorted(maps.Keys(p.counts)) {
		fmt.Fprintf(&b, "| %s | %d |\n", what, p.counts[what])
	}
	fmt.Fprintf(&b, "\n| invariant | checked | violated |\n|---|---:|---:|\n")
	for i := range invariants {
		fmt.Fprintf(&b, "| %v: %s | %d | %d |\n", i, i.says(), p.verdict.checked[i].Load(), p.verdict.violations(i))
	}
	return b.String()
}

// report prints the tables and fails the test for every violation.
func (p *programme) report() {
	p.counts["redis closed a subscriber: output buffer"] = strings.Count(p.world.redis.Log(), "overcoming of output buffer limits")
	text := p.tables()
	p.t.Logf("\n%s", text)
	for _, message := range p.verdict.texts() {
		p.t.Error(message)
		p.whatNodesSaid(message)
	}
	for i := range invariants {
		if n := p.verdict.violations(i); n > mostSaid {
			p.t.Errorf("%v violated, seed %d: %d times", i, p.verdict.seed, n)
		}
	}
	p.goals()
	if *reportFlag == "" {
		return
	}
	if err := os.WriteFile(*reportFlag, []byte(text), 0o644); err != nil {
		p.t.Errorf("write the report: %v", err)
	}
}

// goals writes what the programme says of the goals that it holds.
func (p *programme) goals() {
	v, run := p.verdict, fmt.Sprintf("%d events and %d faults, seed %d", p.events.Load(), len(p.plan), p.verdict.seed)
	of := func(i invariant) string {
		return fmt.Sprintf("%d of %d checks violated", v.violations(i), v.checked[i].Load())
	}
	stack.Promise(p.t, "G4", "no client gets another's data").
		Reached("%s: answers %s, pushes %s", run, of(ownAnswer), of(rightPush))
	stack.Promise(p.t, "G6", "PHP never runs an event twice").Reached("%s: %s", run, of(ranOnce))
	var longest time.Duration
	for kind, d := range p.recovery {
		if strings.HasPrefix(kind, "redis") {
			longest = max(longest, d)
		}
	}
	stack.Promise(p.t, "G12", "an outage of Redis fails no event").
		Reached("%s: every request got an answer, an error or an end in %d checks; all names confirmed again at most %v after a fault of Redis",
			run, v.checked[noSilence].Load(), longest.Round(time.Millisecond))
}

// whatNodesSaid shows a node's own words about a connection that a message of
// the checker names.
func (p *programme) whatNodesSaid(message string) {
	_, rest, found := strings.Cut(message, "connection ")
	id, _, _ := strings.Cut(rest, " ")
	if !found || id == "" {
		return
	}
	for i, node := range p.world.nodes {
		for _, line := range node.Log() {
			if strings.Contains(fmt.Sprint(line), id) {
				p.t.Logf("node %d: %v", i+1, line)
			}
		}
	}
}
