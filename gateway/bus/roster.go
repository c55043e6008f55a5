package bus

import (
	"slices"
	"time"

	"wsfpm/session"
)

// batch is the largest number of Redis names in one SUBSCRIBE or UNSUBSCRIBE.
const batch = 1000

// window is the number of commands that Redis may owe an answer to. It bounds
// the confirmations that pile up in Redis's output buffer for this node, and
// in socket buffers, when a hundred thousand names are subscribed again.
const window = 4

// A roster is the list of names that this node wants to hear, and what Redis
// has been told about each. It is pure: it does no I/O, starts no goroutine,
// reads no clock. Its owner serialises the calls, carries out the commands
// that next hands out, and reports Redis's answers in their order.
//
// At most one command per name is on its way at any time: a name that is
// joined while it is being unsubscribed waits for that to end and is then
// subscribed afresh.
//
// An epoch is the life of one connection to Redis. Nothing that an earlier
// epoch confirmed counts in a later one.
type roster struct {
	perCommand int // names in one command: batch over the number of prefixes

	names   map[session.Address]entry
	queue   []session.Address // names that may need a command, each once
	flights []flight          // commands without an answer, oldest first
	fixed   int               // names that every node hears, not yet confirmed

	wanted    int // names with members
	confirmed int // of these, the ones that Redis has confirmed

	up      bool // an epoch is under way
	settled bool // everything wanted was confirmed at least once in it

	waiting map[session.Address][]*join // for the name to be confirmed
}

// entry is what is known about one name. There are as many as a node has
// connections and more, so it is small.
type entry struct {
	members int32
	state   state
	queued  bool // the name stands in roster.queue
}

// state is what Redis has been told about a name in this epoch.
type state uint8

const (
	absent        state = iota // nothing, or the end of it is confirmed
	subscribing                // SUBSCRIBE is on its way
	subscribed                 // SUBSCRIBE is confirmed
	unsubscribing              // UNSUBSCRIBE is on its way
)

// flight is one command on its way.
type flight struct {
	left int // names without an answer
	sent time.Time
}

// join waits until all of its names are confirmed in one epoch.
type join struct {
	names []session.Address
	left  int           // names in roster.waiting
	done  chan struct{} // closed when left is 0
}

// newRoster is the roster of a node that subscribes each name under so many
// prefixes.
func newRoster(prefixes int) *roster {
	return &roster{
		perCommand: max(1, batch/prefixes),
		names:      map[session.Address]entry{},
		waiting:    map[session.Address][]*join{},
	}
}

// join counts one member for each name. It returns what to wait for, nil when
// every name is confirmed already.
func (r *roster) join(names []session.Address) *join {
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
func (r *roster) await(j *join) {
	j.left = 0
	for _, name := range j.names {
		if r.names[name].state != subscribed {
			j.left++
			r.waiting[name] = append(r.waiting[name], j)
		}
	}
}

// forget ends the wait of a join whose caller went away.
func (r *roster) forget(j *join) {
	for _, name := range j.names {
		rest := slices.DeleteFunc(r.waiting[name], func(other *join) bool { return other == j })
		if len(rest) == 0 {
			delete(r.waiting, name)
			continue
		}
		r.waiting[name] = rest
	}
}

// leave takes one member from each name. A name that has none is passed over.
func (r *roster) leave(names []session.Address) {
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

// connected begins an epoch, in which fixed names that every node hears are
// being subscribed beside the roster. Every wanted name is to be subscribed.
func (r *roster) connected(fixed int) {
	r.up, r.fixed = true, fixed
	for name, e := range r.names {
		r.put(name, e)
	}
	r.settle()
}

// lost ends the epoch. Nothing is confirmed any more. Joins that wait go on
// waiting.
func (r *roster) lost() {
	r.up, r.settled, r.fixed = false, false, 0
	r.queue, r.flights = nil, nil
	for name, e := range r.names {
		r.put(name, entry{members: e.members})
	}
}

// next hands out the names of the next commands, one to subscribe and one to
// unsubscribe, either of which may be empty. From here on they count as sent.
func (r *roster) next(now time.Time) (subscribe, unsubscribe []session.Address) {
	if len(r.flights) >= window {
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
		r.queue = nil // lets go of an array that may have been large
	}
	for _, sent := range [][]session.Address{subscribe, unsubscribe} {
		if len(sent) > 0 {
			r.flights = append(r.flights, flight{left: len(sent), sent: now})
		}
	}
	return subscribe, unsubscribe
}

// heardFixed notes that Redis confirmed one of the fixed names.
func (r *roster) heardFixed() {
	r.fixed--
	r.settle()
}

// heardSubscribed notes that Redis confirmed the SUBSCRIBE of name.
func (r *roster) heardSubscribed(name session.Address) {
	e := r.names[name]
	if e.state != subscribing {
		return
	}
	e.state = subscribed
	r.answered()
	r.put(name, e)
	waited := r.waiting[name]
	delete(r.waiting, name)
	for _, j := range waited {
		if j.left--; j.left > 0 {
			continue
		}
		// Another of its names may have been confirmed in an earlier epoch
		// only, or have been left meanwhile.
		if r.await(j); j.left == 0 {
			close(j.done)
		}
	}
	r.settle()
}

// heardUnsubscribed notes that Redis confirmed the UNSUBSCRIBE of name.
func (r *roster) heardUnsubscribed(name session.Address) {
	e := r.names[name]
	if e.state != unsubscribing {
		return
	}
	e.state = absent
	r.answered()
	r.put(name, e)
}

// answered takes one name from the oldest command on its way: Redis answers
// in the order in which it was asked.
func (r *roster) answered() {
	if r.flights[0].left--; r.flights[0].left == 0 {
		r.flights = r.flights[1:]
	}
}

// settle notes the moment of an epoch in which everything is confirmed.
func (r *roster) settle() {
	if r.up && r.fixed == 0 && r.confirmed == r.wanted {
		r.settled = true
	}
}

// oldest is when the oldest command without an answer was sent; zero without
// one.
func (r *roster) oldest() time.Time {
	if len(r.flights) == 0 {
		return time.Time{}
	}
	return r.flights[0].sent
}

// hasWork reports whether next would hand out anything.
func (r *roster) hasWork() bool {
	return len(r.queue) > 0 && len(r.flights) < window
}

// put stores what is known about a name, keeps the counts true, and queues
// the name when Redis has to be told something about it.
func (r *roster) put(name session.Address, e entry) {
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
func (r *roster) count(e entry, by int) {
	if e.members > 0 {
		r.wanted += by
		if e.state == subscribed {
			r.confirmed += by
		}
	}
}
