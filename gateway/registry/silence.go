package registry

import "time"

// silence is how long each other node has been silent, for the question whether a node that
// Redis names somewhere is dead. It is a pure state machine.
type silence struct {
	last     time.Duration            // the last beat of this node that went through
	unbroken time.Duration            // since when they have without a break; -1: the last did not
	changed  map[string]time.Duration // when a node's beat was last seen to change
}

// mostSilent is the maximum of nodes that are remembered.
const mostSilent = 10_000

func newSilence() silence {
	return silence{unbroken: -1, changed: make(map[string]time.Duration)}
}

// failed notes a beat that did not go through.
func (s *silence) failed() { s.unbroken = -1 }

// beat notes a beat that went through, with the sights of the other nodes.
func (s *silence) beat(now time.Duration, seen map[string]sight) {
	if s.unbroken < 0 || now-s.last > breakTime {
		s.unbroken = now
	}
	s.last = now
	for name, changed := range s.changed {
		if _, there := seen[name]; !there && now-changed > 10*leaseTime {
			delete(s.changed, name)
		}
	}
	for name, v := range seen {
		s.changed[name] = v.since
	}
}

// dead reports whether a node has been silent for the time of the lease, during which this
// one's own beats went through. The time of a node that is not known begins with the
// question: it may have begun after the last beat.
func (s *silence) dead(now time.Duration, node string) bool {
	changed, known := s.changed[node]
	if !known {
		if len(s.changed) < mostSilent {
			s.changed[node] = now
		}
		return false
	}
	return s.unbroken >= 0 && now-s.last <= breakTime && now-max(s.unbroken, changed) >= leaseTime
}

// Dead reports whether a node has ended, or has not beaten for 45 s while this node's own
// beats went through. It reports false while that cannot be known. Of a node that Redis does
// not list the time begins with the first call.
func (r *Registry) Dead(node string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return node != r.Node() && r.silence.dead(r.now(), node)
}
