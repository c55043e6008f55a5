package faults

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// invariant is one of those in the package's comment.
type invariant int

const (
	ownAnswer invariant = iota
	ranOnce
	inOrder
	oneDisconnect
	rightPush
	givenBack
	noSilence
	allWorkers
	invariants // their number
)

func (i invariant) String() string { return fmt.Sprintf("I%d", int(i)+1) }

// says is the invariant in words.
func (i invariant) says() string {
	return [...]string{
		"an answer belongs to its asker",
		"no event runs twice, what was answered has run",
		"order of events, answers and pushes",
		"one disconnect for every connection that was let in",
		"a push reaches those it is addressed to, once",
		"everything is given back, nothing panics",
		"every client gets an answer, an error or an end",
		"a node works below its limit of workers for 2 % of the time at most",
	}[i]
}

// verdict counts what was checked. It is safe for concurrent use.
type verdict struct {
	seed    uint64
	checked [invariants]atomic.Int64

	mu       sync.Mutex // guards what follows
	violated [invariants]int
	messages []string // of the first violations
	said     [invariants]int
	doubts   []doubt // until settle
}

// mostSaid bounds the messages per invariant: where one thing is wrong, much is.
const mostSaid = 20

// check counts one check, and a violation with its message when ok is false.
func (v *verdict) check(i invariant, ok bool, format string, args ...any) {
	v.checked[i].Add(1)
	if ok {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.violated[i]++
	if v.said[i]++; v.said[i] <= mostSaid {
		v.messages = append(v.messages, fmt.Sprintf("%v violated, seed %d: ", i, v.seed)+fmt.Sprintf(format, args...))
	}
}

// violations is how often the invariant was
// violated.
func (v *verdict) violations(i invariant) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.violated[i]
}

// texts are the messages of the first violations.
func (v *verdict) texts() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]string(nil), v.messages...)
}
