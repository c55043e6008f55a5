package bus

import (
	"slices"
	"time"

	"wsfpm/session"
)

// batch is the largest number of Redis names in one SUBSCRIBE or UNSUBSCRIBE.
const batch = 1000

// window is the limit of unanswered commands. It bounds the confirmations in Redis's
// output buffer for this node, and in socket buffers, when a hundred thousand names are
// subscribed again.
const window = 4

// subscriptions is the state machine of the names that this node wants to receive, and
// of their subscriptions. It is pure: it does no I/O, starts no goroutine, reads no
// clock. Its owner serialises the calls, sends the commands that next returns, and
// reports Redis's answers in order.
//
// At most one command per name is in flight: a name that is joined while it is being
// unsubscribed is subscribed again after that has been confirmed.
//
// An epoch is the lifetime of one connection to Redis. Confirmations of an earlier epoch
// are void.
type subscriptions struct {
	perCommand int // names in one command: batch divided by the number of prefixes

	names    map[session.Address]entry
	queue    []session.Address // names that may need a command, each once
	inflight []command         // commands without an answer, oldest first
	fixed    int               // names that every node hears, not yet confirmed

	wanted    int // names with members
	confirmed int // of these, confirmed by Redis

	up      bool // an epoch is in progress
	settled bool // all wanted names have been confirmed at some moment of it

	waiting map[session.Address][]*join // for the name to be confirmed
}

// entry is the state of one name. A node has at least one per connection, so it is
// small.
type entry struct {
	members int32
	state   state
	queued  bool // the name is in subscriptions.queue
}

// state is the state of a name's subscription in this epoch.
type state uint8

const (
	absent        state = iota // no command, or UNSUBSCRIBE is confirmed
	subscribing                // SUBSCRIBE is in flight
	subscribed                 // SUBSCRIBE is confirmed
	unsubscribing              // UNSUBSCRIBE is in flight
)

// command is one command in flight.
type command struct {
	names []session.Address // without an answer, in the order sent
	sent  time.Time
}

// join waits until all of its names are confirmed in one epoch.
type join struct {
	names []session.Address
	left  int           // names in subscriptions.waiting
	done  chan struct{} // closed when left is 0
}

// newSubscriptions returns the state of a node that subscribes each name under this
// number of prefixes.
func newSubscriptions(prefixes int) *subscriptions {
	return &subscriptions{
		perCommand: max(1, batch/prefixes),
		names:      map[session.Address]entry{},
		waiting:    map[session.Address][]*join{},
	}
}

// join counts one member for each name. It returns the pending confirmation, nil if
// every name is confirmed already.
func (r *subscriptions) join(names []session.Address) *join {
	missing := 0
	for _, name := range names {
		e := r.names[name]
		e.members++
		r.put(name, e)
		if e.state != subscribed {
			missing++
		}
	}
	if missing == 0 && r.up {
		return nil
	}
	j := &join{names: names, done: make(chan struct{})}
	r.await(j)
	return j
}

// await enters j with each of its names that is not confirmed.
func (r *subscriptions) await(j *join) {
	j.left = 0
	for _, name := range j.names {
		if r.names[name].state != subscribed {
			j.left++
			r.waiting[name] = append(r.waiting[name], j)
		}
	}
}

// forget cancels the wait of a join.
func (r *subscriptions) forget(j *join) {
	for _, name := range j.names {
		rest := slices.DeleteFunc(r.waiting[name], func(other *join) bool { return other == j })
		if len(rest) == 0 {
			delete(r.waiting, name)
			continue
		}
		r.waiting[name] = rest
	}
}

// leave subtracts one member from each name that has any.
func (r *subscriptions) leave(names []session.Address) {
	for _, name := range names {
		e := r.names[name]
		if e.members == 0 {
			continue
		}
		e.members--
		r.put(name, e)
	}
	r.settle()
}

// connected begins an epoch, in which every wanted name is to be subscribed. The owner
// itself subscribes the given number of fixed names.
func (r *subscriptions) connected(fixed int) {
	r.up, r.fixed = true, fixed
	for name, e := range r.names {
		r.put(name, e)
	}
	r.settle()
}

// lost ends the epoch and voids all confirmations. Pending joins remain pending.
func (r *subscriptions) lost() {
	r.up, r.settled, r.fixed = false, false, 0
	r.queue, r.inflight = nil, nil
	for name, e := range r.names {
		r.put(name, entry{members: e.members})
	}
}

// next returns the names of the next SUBSCRIBE and UNSUBSCRIBE, either of which may be
// empty. They count as sent.
func (r *subscriptions) next(now time.Time) (subscribe, unsubscribe []session.Address) {
	if len(r.inflight) >= window {
		return nil, nil
	}
	for len(r.queue) > 0 && len(subscribe) < r.perCommand && len(unsubscribe) < r.perCommand {
		name := r.queue[0]
		r.queue = r.queue[1:]
		e := r.names[name]
		e.queued = false
		switch {
		case e.state == absent && e.members > 0:
			e.state = subscribing
			subscribe = append(subscribe, name)
		case e.state == subscribed && e.members == 0:
			e.state = unsubscribing
			unsubscribe = append(unsubscribe, name)
		}
		r.put(name, e)
	}
	if len(r.queue) == 0 {
		r.queue = nil // releases an array that may be large
	}
	for _, sent := range [][]session.Address{subscribe, unsubscribe} {
		if len(sent) > 0 {
			r.inflight = append(r.inflight, command{names: sent, sent: now})
		}
	}
	return subscribe, unsubscribe
}

// heardFixed records the confirmation of a fixed name.
func (r *subscriptions) heardFixed() {
	r.fixed--
	r.settle()
}

// heardSubscribed records the confirmation of the SUBSCRIBE of name.
func (r *subscriptions) heardSubscribed(name session.Address) {
	e := r.names[name]
	if e.state != subscribing {
		return
	}
	e.state = subscribed
	name = r.answered(name)
	r.put(name, e)
	waited := r.waiting[name]
	delete(r.waiting, name)
	for _, j := range waited {
		if j.left--; j.left > 0 {
			continue
		}
		// Another of its names may have been confirmed only in an earlier epoch,
		// or have been left meanwhile.
		if r.await(j); j.left == 0 {
			close(j.done)
		}
	}
	r.settle()
}

// heardUnsubscribed records the confirmation of the UNSUBSCRIBE of name.
func (r *subscriptions) heardUnsubscribed(name session.Address) {
	e := r.names[name]
	if e.state != unsubscribing {
		return
	}
	e.state = absent
	r.put(r.answered(name), e)
}

// answered removes a name from the oldest command in flight: Redis answers in order. It
// returns the name as it was sent, which shares the memory of a session's: the one that was
// heard is a part of an answer, and the map would keep all of that.
func (r *subscriptions) answered(heard session.Address) (sent session.Address) {
	oldest := &r.inflight[0]
	sent = oldest.names[0]
	if oldest.names = oldest.names[1:]; len(oldest.names) == 0 {
		r.inflight = r.inflight[1:]
	}
	if sent != heard {
		return heard
	}
	return sent
}

// settle records whether all names are confirmed.
func (r *subscriptions) settle() {
	if r.up && r.fixed == 0 && r.confirmed == r.wanted {
		r.settled = true
	}
}

// oldest returns when the oldest command in flight was sent; zero without one.
func (r *subscriptions) oldest() time.Time {
	if len(r.inflight) == 0 {
		return time.Time{}
	}
	return r.inflight[0].sent
}

// hasWork reports whether next would return any names.
func (r *subscriptions) hasWork() bool {
	return len(r.queue) > 0 && len(r.inflight) < window
}

// put stores the state of a name, updates the counts, and queues the name if it needs a
// command.
func (r *subscriptions) put(name session.Address, e entry) {
	r.count(r.names[name], -1)
	r.count(e, 1)
	needsCommand := e.state == absent && e.members > 0 || e.state == subscribed && e.members == 0
	if r.up && needsCommand && !e.queued {
		e.queued = true
		r.queue = append(r.queue, name)
	}
	if e == (entry{}) {
		delete(r.names, name)
		return
	}
	r.names[name] = e
}

// count adds by to the counts that e belongs to.
func (r *subscriptions) count(e entry, by int) {
	if e.members > 0 {
		r.wanted += by
		if e.state == subscribed {
			r.confirmed += by
		}
	}
}
