package once

import "time"

// tries is how often a command is tried whose reply is lost.
const tries = 2

// doing is the kind of a step.
type doing uint8

const (
	doClaim   doing = iota // Store.Claim of next
	doLook                 // Store.Look
	doReplace              // Store.Replace of old by next
	doRemove               // Store.Remove of old
	doWait                 // another process runs the message: wait, then go on
	doRun                  // the message is to be run
	doEnd                  // the verdict
)

// step is what a machine wants to be done next.
type step struct {
	do        doing
	old, next string
	ttl       time.Duration
	verdict   *Verdict // of doEnd
}

// result is the outcome of a step.
type result struct {
	found string
	left  time.Duration // of doLook
	lost  bool          // the store gave no reply
}

// state is what a machine waits for.
type state uint8

const (
	stateClaiming state = iota
	stateLooking
	stateWaiting
	stateTaking // over
	stateRunning
	stateConfirming
	stateKeeping // the outcome
	stateEnded
)

// machine is the protocol of one message with an id, in one process. It does no I/O: step
// by step it returns what is to be done, and is given the result. The rules are in the
// package's documentation.
type machine struct {
	token string // the value while this message runs
	hash  string
	node  string
	keep  time.Duration // Request.Keep
	long  time.Duration // the life of token in the store

	state  state
	last   step   // of a command
	left   uint8  // tries of it
	second bool   // an earlier request may have run
	held   string // the value of ours in the store
}

func newMachine(r *Request, token, node string) machine {
	m := machine{
		token: runValue(r.Hash, r.Keep, token, node),
		hash:  r.Hash,
		node:  node,
		keep:  r.Keep,
		long:  r.Keep + r.Longest,
	}
	m.held = m.token
	return m
}

// start is the first step.
func (m *machine) start() step {
	return m.command(stateClaiming, step{do: doClaim, next: m.token, ttl: m.long})
}

// command returns a step that the store carries out.
func (m *machine) command(s state, do step) step {
	m.state, m.last, m.left = s, do, tries
	return do
}

// end ends the machine.
func (m *machine) end(v Verdict) step {
	m.state = stateEnded
	return step{do: doEnd, verdict: &v}
}

// run begins the run of the message, which [machine.confirm] and [machine.finish] continue.
func (m *machine) run() step {
	m.state = stateRunning
	return step{do: doRun}
}

// next continues after the result of the last step. Dead reports whether a process has ended.
func (m *machine) next(r result, dead func(node string) bool) step {
	if m.state == stateWaiting {
		return m.command(stateLooking, step{do: doLook})
	}
	if r.lost {
		if m.left--; m.left > 0 {
			return m.last
		}
		return m.end(Verdict{Kind: Busy})
	}
	switch m.state {
	case stateClaiming:
		if r.found == "" || r.found == m.token { // the latter when a reply was lost
			return m.run()
		}
		return m.judge(r.found, neverOver, dead)
	case stateLooking:
		if r.found == "" {
			return m.start()
		}
		return m.judge(r.found, r.left, dead)
	case stateTaking:
		if r.found == "" {
			return m.run()
		}
		return m.judge(r.found, neverOver, dead)
	case stateConfirming:
		if r.found == "" {
			return m.run()
		}
	}
	return m.end(Verdict{Kind: Busy}) // another process has taken over
}

// neverOver is the rest of a key's life where it is not known.
const neverOver = maxOver + time.Millisecond

// judge decides what a value means that another request has stored.
func (m *machine) judge(found string, left time.Duration, dead func(node string) bool) step {
	v, err := parse(found)
	switch {
	case err != nil:
		return m.end(Verdict{Kind: Unknown, Err: err})
	case v.hash != m.hash:
		return m.end(Verdict{Kind: Mismatch})
	case v.kind == kindKept:
		return m.end(Verdict{Kind: Answer, Kept: true, Messages: v.answer})
	case v.kind == kindDone:
		return m.end(Verdict{Kind: Answer})
	case v.kind == kindRun && v.node != m.node && left > v.over && !dead(v.node):
		m.state = stateWaiting
		return step{do: doWait}
	}
	// A run of our own node that the caller does not know of has ended without a trace in
	// the store: each process has one machine a key at a time.
	m.second = true
	return m.command(stateTaking, step{do: doReplace, old: found, next: m.token, ttl: m.long})
}

// confirm makes sure that no other process has taken over. It begins with doRun, and ends
// with doRun, or with doEnd when the message must not be run.
func (m *machine) confirm() step {
	return m.command(stateConfirming, step{do: doReplace, old: m.token, next: m.token, ttl: m.long})
}

// finish stores the outcome of a run, or another one in its place.
func (m *machine) finish(o Outcome, answer []Message, most int) step {
	next := unknownValue(m.hash)
	switch {
	case o == Answered && size(answer) <= most:
		next = keptValue(m.hash, answer)
	case o == Answered || o == Done:
		next = doneValue(m.hash)
	case o == Refused && !m.second:
		return m.command(stateKeeping, step{do: doRemove, old: m.held})
	}
	return m.command(stateKeeping, step{do: doReplace, old: m.held, next: next, ttl: m.keep})
}

// stored continues after the result of finish. It reports whether the step is to be
// repeated, else whether the outcome is stored.
func (m *machine) stored(r result) (again, stored bool) {
	if r.lost {
		if m.left--; m.left > 0 {
			return true, false
		}
		return false, false
	}
	if r.found == "" {
		m.held = m.last.next
	}
	return false, r.found == ""
}
