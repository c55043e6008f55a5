package once

import (
	"hash/maphash"
	"slices"
	"strings"
	"time"
)

// The world of the exhaustive test: one key, two processes, a client that sends the same
// message up to three times, and what may go wrong. Each world is a value, so that all that
// can be reached are enumerated.
const (
	requests  = 3
	processes = 2
	lates     = 2
)

// phase is how far a request is.
type phase uint8

const (
	phaseAbsent     phase = iota // not sent yet
	phaseAsking                  // the machine has a command on its way, or waits
	phaseGranted                 // it may run, nothing has been sent
	phaseConfirming              // as phaseAsking
	phaseSent                    // PHP has it
	phaseKeeping                 // as phaseAsking
	phaseOver                    // answered, or its process has ended
)

// fate is how PHP ended a request.
type fate uint8

const (
	fateNone    fate = iota // it never got there
	fateRuns                // or has ended without a word
	fateRefused             // with an error status
	fateAnswered
)

type request struct {
	process int
	phase   phase
	do      step
	m       machine
	fate    fate
	outcome Outcome
}

// late is a command whose reply was given up, and that the store has not executed yet.
type late struct {
	pending   bool
	do        doing
	old, next string
}

type world struct {
	stored   string
	requests [requests + 1]request // the last is that of settles
	late     [lates]late
	crashed  [processes]bool
	dead     [processes]bool // counted as
	ended    bool            // a client was sent an answer that is kept
	faults   faults          // that may still happen
}

type faults struct {
	losses   int // of commands or replies of the store
	crashes  int
	mistakes int // living processes counted as dead
}

// rules are what a variant of the protocol leaves out.
type rules struct {
	command func(r *request) // changes r.do before the store executes it
	result  func(r *request, got result) result
	token   func(i int) string
	dead    func(node string) bool
	outcome func(m *machine, o Outcome) Outcome
	judged  func(w *world, i int) // after each step of a machine
	old     bool                  // a key's age counts for nothing
	blind   bool                  // no confirmation before the request is sent
	crowded bool                  // several machines of one process at a time
}

// anyValue is an old value that every value equals: no comparison.
const anyValue = "*"

var testHash = strings.Repeat("h", hashLen)

func nodeName(process int) string { return string('A' + rune(process)) }

// explorer enumerates the worlds.
type explorer struct {
	rules rules
	seed  maphash.Seed
	seen  map[uint64]bool // hashes of worlds
	bad   string          // the first rule of the protocol found broken
	trace []string        // the way there
}

func (e *explorer) fail(what string) {
	if e.bad == "" {
		e.bad = what + "\n\t" + strings.Join(e.trace, "\n\t")
	}
}

// visit explores a world that was reached by an event.
func (e *explorer) visit(event string, w world) {
	if e.bad != "" {
		return
	}
	e.trace = append(e.trace, event)
	defer func() { e.trace = e.trace[:len(e.trace)-1] }()
	h := maphash.Comparable(e.seed, w)
	if e.seen[h] {
		return
	}
	e.seen[h] = true
	for i := range requests {
		e.advance(w, i)
	}
	for i, l := range w.late {
		if l.pending {
			next := w
			next.late[i] = late{}
			next.execute(step{do: l.do, old: l.old, next: l.next})
			e.visit("late command", next)
		}
	}
	for p := range processes {
		if !w.crashed[p] && w.faults.crashes > 0 {
			e.visit("crash", w.crash(p))
		}
		if !w.dead[p] && (w.crashed[p] || w.faults.mistakes > 0) {
			next := w
			next.dead[p] = true
			if !w.crashed[p] {
				next.faults.mistakes--
			}
			e.visit("counted as dead", next)
		}
	}
	e.settles(w)
}

func (w world) crash(p int) world {
	w.crashed[p] = true
	w.faults.crashes--
	for i := range w.requests {
		if r := &w.requests[i]; r.process == p && r.phase != phaseAbsent {
			*r = request{process: p, phase: phaseOver, fate: r.fate}
		}
	}
	return w
}

// execute carries out a command of the store.
func (w *world) execute(do step) (found string) {
	had := w.stored
	switch do.do {
	case doClaim:
		if had != "" {
			return had
		}
		w.stored = do.next
	case doReplace:
		if had != "" && had != do.old && had != do.next && do.old != anyValue {
			return had
		}
		w.stored = do.next
	case doRemove:
		if had == do.old || do.old == anyValue {
			w.stored = ""
		}
	case doLook:
		return had
	}
	return ""
}

// advance makes the events of one request.
func (e *explorer) advance(w world, i int) {
	r := &w.requests[i]
	switch r.phase {
	case phaseAbsent:
		for p := range processes {
			next := w
			if !next.begin(e, i, p) {
				continue
			}
			e.visit("request "+string('1'+rune(i))+" at "+nodeName(p), next)
		}
	case phaseAsking, phaseConfirming, phaseKeeping:
		e.commands(w, i)
	case phaseGranted:
		e.grants(w, i)
	case phaseSent:
		for o, name := range map[Outcome]string{Unclear: "cut off", Answered: "answered", Refused: "refused"} {
			next := w
			n := &next.requests[i]
			n.fate = map[Outcome]fate{Unclear: fateRuns, Answered: fateAnswered, Refused: fateRefused}[o]
			next.finish(e, i, o)
			e.visit(name, next)
		}
	}
}

// begin sends a request to a process, one after the other, the first to the first.
func (w *world) begin(e *explorer, i, p int) bool {
	if w.crashed[p] || i > 0 && w.requests[i-1].phase == phaseAbsent || i == 0 && p > 0 {
		return false
	}
	busy := slices.ContainsFunc(w.requests[:], func(r request) bool {
		return r.process == p && r.phase != phaseAbsent && r.phase != phaseOver
	})
	if busy && !e.rules.crowded {
		return false
	}
	token := string('1' + rune(i))
	if e.rules.token != nil {
		token = e.rules.token(i)
	}
	r := request{process: p, phase: phaseAsking}
	r.m = newMachine(&Request{Hash: testHash, Keep: time.Second, Longest: time.Second}, token, nodeName(p))
	r.do = r.m.start()
	w.requests[i] = r
	return true
}

// commands makes what may become of a request's command.
func (e *explorer) commands(w world, i int) {
	if w.requests[i].do.do == doWait {
		next := w
		e.reply(&next, i, result{})
		e.visit("waited", next)
		next = w
		next.requests[i] = request{process: w.requests[i].process, phase: phaseOver}
		e.visit("gave up", next)
		return
	}
	if e.rules.command != nil {
		e.rules.command(&w.requests[i])
	}
	do := w.requests[i].do
	next := w
	r := result{found: next.execute(do), left: time.Hour}
	if do.do == doLook && !e.rules.old && w.isOver(r.found) {
		r.left = 0
	}
	e.reply(&next, i, r)
	e.visit("executed", next)
	if w.faults.losses == 0 {
		return
	}
	w.faults.losses--
	next = w
	e.reply(&next, i, result{lost: true})
	e.visit("command lost", next)
	next = w
	next.execute(do)
	e.reply(&next, i, result{lost: true})
	e.visit("reply lost", next)
	next = w
	if l := slices.IndexFunc(next.late[:], func(l late) bool { return !l.pending }); l >= 0 && do.do != doLook {
		next.late[l] = late{true, do.do, do.old, do.next}
		e.reply(&next, i, result{lost: true})
		e.visit("command delayed", next)
	}
}

// isOver reports whether the run that a value stands for has ended. The value may then
// reach any age.
func (w *world) isOver(stored string) bool {
	for _, r := range w.requests {
		if r.m.token == stored && r.phase != phaseOver {
			return false
		}
	}
	return true
}

// reply gives a result to a request's machine.
func (e *explorer) reply(w *world, i int, got result) {
	r := &w.requests[i]
	if e.rules.result != nil {
		got = e.rules.result(r, got)
	}
	if r.phase == phaseKeeping {
		if again, stored := r.m.stored(got); !again {
			w.ended = w.ended || stored && r.outcome == Answered
			*r = request{process: r.process, phase: phaseOver, fate: r.fate}
		}
		return
	}
	r.do = r.m.next(got, func(node string) bool {
		if e.rules.dead != nil {
			return e.rules.dead(node)
		}
		return w.dead[node[0]-'A']
	})
	if e.rules.judged != nil {
		e.rules.judged(w, i)
	}
	switch {
	case r.do.do == doRun && r.phase == phaseConfirming:
		e.send(w, i)
	case r.do.do == doRun:
		r.phase = phaseGranted
	case r.do.do == doEnd && r.phase == phaseConfirming:
		w.finish(e, i, Refused)
	case r.do.do == doEnd:
		e.ends(w, i, *r.do.verdict)
	}
}

// ends checks a verdict.
func (e *explorer) ends(w *world, i int, v Verdict) {
	if v.Kind == Answer {
		by := int(v.Messages[0].Data[0] - '1')
		if w.requests[by].fate != fateAnswered {
			e.fail("an answer of a request that has none")
		}
	}
	w.requests[i] = request{process: w.requests[i].process, phase: phaseOver}
}

// grants makes what may become of a request that may run.
func (e *explorer) grants(w world, i int) {
	next := w
	next.finish(e, i, Refused)
	e.visit("nothing sent", next)
	next = w
	r := &next.requests[i]
	if w.dead[r.process] && !e.rules.blind { // long after Ask, see Run.Ready
		r.phase, r.do = phaseConfirming, r.m.confirm()
		e.visit("confirms", next)
		return
	}
	e.send(&next, i)
	e.visit("sent", next)
}

// send sends a request to PHP, and checks whether it may.
func (e *explorer) send(w *world, i int) {
	for j, other := range w.requests {
		ran := other.fate == fateRuns || other.fate == fateAnswered
		if j != i && ran && !w.requests[i].m.second {
			e.fail("sent as first attempt after another")
		}
	}
	if w.ended {
		e.fail("sent after an answer was kept")
	}
	w.requests[i].phase, w.requests[i].fate = phaseSent, fateRuns
}

func (w *world) finish(e *explorer, i int, o Outcome) {
	r := &w.requests[i]
	if e.rules.outcome != nil {
		o = e.rules.outcome(&r.m, o)
	}
	r.phase, r.outcome = phaseKeeping, o
	r.do = r.m.finish(o, []Message{{Data: []byte{'1' + byte(i)}}}, 10)
}

// settles checks that a further request is not refused for ever where nothing happens any
// more.
func (e *explorer) settles(w world) {
	for _, r := range w.requests {
		if r.phase != phaseOver && r.phase != phaseAbsent {
			return
		}
	}
	p := slices.Index(w.crashed[:], false)
	if p < 0 {
		return
	}
	for i := range requests {
		w.requests[i].phase = phaseOver
	}
	w.begin(e, requests, p)
	r := &w.requests[requests]
	for range 10 {
		if r.phase != phaseAsking {
			return
		}
		got := result{found: w.execute(r.do), left: time.Hour}
		if !e.rules.old {
			got.left = 0
		}
		e.reply(&w, requests, got)
	}
	e.fail("a request is never answered")
}
