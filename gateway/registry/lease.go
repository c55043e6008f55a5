package registry

import (
	"slices"
	"strings"
	"time"
)

// Times of the lease.
const (
	beatTime  = 5 * time.Second  // between two beats
	retryTime = time.Second      // after a beat that failed
	leaseTime = 45 * time.Second // without a change of a node's beat until it is dead
	breakTime = 3 * beatTime     // between two beats that went through: more is a break
)

// lease decides which nodes are dead, and whether this one still is itself: a pure state
// machine. Times are those of the node's own clock, see [Registry.now].
type lease struct {
	node  string
	began time.Duration // when the last beat began
	tried time.Duration // when the last beat that is over began
	due   time.Duration // when the next beat is to begin
	last  time.Duration // when the last beat went through
	good  bool          // it did
	seen  map[string]sight
	// stamp is that under which everything has been registered, see beatText; "": none.
	stamp  string
	number uint64 // of the last beat
	rules  rules
}

// sight is the beat of another node and since when it has been seen unchanged.
type sight struct {
	beat  string
	since time.Duration
}

// death is a node that is taken for dead.
type death struct {
	node, beat string
	// holder may be the node that claims it: it is dead too.
	holder string
}

// rules switch parts of the lease off, for the test that shows what each is for. The zero
// value has all.
type rules struct {
	noBreaks, noForgot bool
}

// verdict is what follows from a beat.
type verdict struct {
	claimed  bool    // this node has a tombstone, or its name is another's
	register bool    // Redis has forgotten this node: everything is to be registered again
	dead     []death // oldest beats first
}

func newLease(node string) *lease {
	return &lease{node: node, seen: make(map[string]sight)}
}

// isAwake reports whether the node may run events. Others take it for dead after the time of
// the lease at the earliest, counted from the beginning of its last beat: if that is longer
// ago, the process was paused, or the machine suspended.
func isAwake(now, tried time.Duration) bool { return now-tried < leaseTime }

// beat begins a beat and returns its number.
func (l *lease) beat(now time.Duration) uint64 {
	l.began = now
	l.number++
	return l.number
}

// failed notes a beat without an answer.
func (l *lease) failed(now time.Duration) {
	l.good, l.tried, l.due = false, l.began, now+retryTime
	if !l.rules.noBreaks {
		clear(l.seen)
	}
}

// answered notes the answer to a beat: the node's stamp and the beats of all nodes.
func (l *lease) answered(now time.Duration, code, stamp string, beats map[string]string) (v verdict) {
	silent := l.stamp != "" && now-l.last > tombstoneTime
	if !l.rules.noBreaks && (!l.good || now-l.last > breakTime) {
		clear(l.seen)
	}
	l.good, l.tried, l.last, l.due = true, l.began, now, now+beatTime
	if code != codeOK || silent && stamp != l.stamp {
		v.claimed = true
		return v
	}
	if stamp != l.stamp {
		v.register = l.stamp == "" || !l.rules.noForgot
		l.stamp = stamp
	}
	v.dead = l.look(now, beats)
	return v
}

// look returns the nodes whose beat has not changed for the time of the lease.
func (l *lease) look(now time.Duration, beats map[string]string) (dead []death) {
	for name := range l.seen {
		if _, there := beats[name]; !there {
			delete(l.seen, name)
		}
	}
	for name, beat := range beats {
		if name == l.node {
			continue
		}
		was, known := l.seen[name]
		if !known || was.beat != beat {
			l.seen[name] = sight{beat, now}
			continue
		}
		if now-was.since >= leaseTime {
			dead = append(dead, death{node: name, beat: beat})
		}
	}
	slices.SortFunc(dead, func(a, b death) int { return strings.Compare(a.node, b.node) })
	return dead
}
