package durable

import (
	"slices"
	"sort"
	"sync"
	"time"

	"wsfpm/gateway/suspend"
	"wsfpm/session"
)

// window is what this node holds of the log: a contiguous run of entries of one history, in
// memory, indexed by address. It implements [session.Window]. It is safe for concurrent use;
// its lock is taken last.
//
// Entries get numbers that never repeat. The entry with number n is entries[n-first].
type window struct {
	keep   uint64 // milliseconds between the oldest entry and the newest
	memory int64  // bytes

	mu      sync.RWMutex // guards what follows
	entries []held
	first   uint64 // the number of entries[0]
	index   map[session.Address][]uint64
	bytes   int64
	before  session.Position // the entry before entries[0], if it was here
	tags    []session.Tag    // names of this history, the newest last
	live    bool             // loaded: it has a newest entry
	clock   clock
}

// clock is that of Redis: its time when a line was opened, and the time since then.
type clock struct {
	theirs time.Time
	ours   suspend.Time
}

// now is the time in milliseconds since 1970, by this machine's clock before set.
func (c *clock) now() uint64 {
	return uint64(max(0, c.theirs.Add(suspend.Clock(nil).Since(c.ours)).UnixMilli()))
}

// held is an entry of the window.
type held struct {
	at      session.Position
	milli   uint64           // when it was stored, see stored
	command *session.Command // nil: an entry without a meaning, or a bad one
	size    int64            // the memory that it counts for, in bytes
}

// mostTags bounds the names of one history that are remembered. Redis gives it a new one
// when the last replica has been away for an hour.
const mostTags = 16

// newWindow makes an empty window. Both bounds hold, but the newest entry always stays.
func newWindow(keep time.Duration, memory int64) *window {
	now := time.Now()
	return &window{keep: uint64(keep.Milliseconds()), memory: memory, index: make(map[session.Address][]uint64), clock: clock{now, suspend.Clock(nil).Now()}}
}

// set sets the clock.
func (w *window) set(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = clock{now, suspend.Clock(nil).Now()}
}

// now is the time by the clock of the log, in milliseconds since 1970.
func (w *window) now() uint64 {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.clock.now()
}

// size estimates the memory of an entry, in bytes. The payload counts twice: a message keeps
// its encodings, the plain frame in its own memory and the envelope beside it. An address is in
// the command and in the index.
func size(c *session.Command) int64 {
	const entry, command, address = 48, 304, 144
	if c == nil {
		return entry
	}
	n := entry + command + address*(len(c.To)+len(c.Except)) + c.NameBytes()
	if c.Message != nil {
		n += session.Headroom + 2*len(c.Message.Data())
	}
	return int64(n)
}

// clear empties the window: what it held may not be contiguous with what follows, or is of
// another history. It is not live until open.
func (w *window) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.first += uint64(len(w.entries))
	w.entries, w.bytes, w.before, w.tags, w.live = nil, 0, session.Position{}, nil, false
	w.index = make(map[session.Address][]uint64)
}

// open makes a loaded window live and returns its newest position.
func (w *window) open() session.Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.live = true
	return w.newestLocked()
}

// append adds entries behind the newest, in their order, and drops the oldest ones beyond
// the bounds. The tag names the history; a former one stays valid.
func (w *window) append(tag session.Tag, list []held) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.tags, tag) {
		w.tags = append(w.tags, tag)
		w.tags = w.tags[max(0, len(w.tags)-mostTags):]
	}
	now := w.clock.now()
	for _, e := range list {
		e.size, e.milli = size(e.command), w.storedLocked(e.at, now)
		n := w.first + uint64(len(w.entries))
		w.entries = append(w.entries, e)
		w.bytes += e.size
		for _, a := range addresses(e.command) {
			if numbers := w.index[a]; len(numbers) == 0 || numbers[len(numbers)-1] != n { // else named twice
				w.index[a] = append(numbers, n)
			}
		}
		w.boundLocked()
	}
}

// storedLocked is when an entry was stored: the time in its id, but not later than it was read,
// and not before the entry before it. A publisher may have given it an id of the future; then
// Redis gives such ids to all that follow it.
func (w *window) storedLocked(at session.Position, now uint64) uint64 {
	milli := min(at.Milli, now)
	if len(w.entries) > 0 {
		milli = max(milli, w.entries[len(w.entries)-1].milli)
	}
	return milli
}

// addresses are those under which a command is found.
func addresses(c *session.Command) []session.Address {
	switch {
	case c == nil:
		return nil
	case slices.Contains(c.To, session.All):
		return []session.Address{session.All} // includes the others
	}
	return c.To
}

// boundLocked drops the oldest entries beyond the bounds. The newest entry's time is the
// present, so that all nodes agree.
func (w *window) boundLocked() {
	newest := w.entries[len(w.entries)-1].milli
	for len(w.entries) > 1 {
		oldest := &w.entries[0]
		if w.bytes <= w.memory && newest-oldest.milli <= w.keep {
			return
		}
		for _, a := range addresses(oldest.command) {
			if numbers := w.index[a]; len(numbers) > 0 && numbers[0] == w.first {
				w.index[a] = numbers[1:]
				if len(numbers) == 1 {
					delete(w.index, a)
				}
			}
		}
		w.bytes -= oldest.size
		w.before = oldest.at
		*oldest = held{}
		w.entries = w.entries[1:]
		w.first++
	}
}

// full reports whether the window has dropped entries, so that it holds as much as its
// bounds allow, and the position of its oldest entry.
func (w *window) full() (full bool, oldest session.Position) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if !w.live || w.before.IsZero() {
		return false, session.Position{}
	}
	return true, w.entries[0].at
}

// knows reports whether a tag is one of this history.
func (w *window) knows(tag session.Tag) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return slices.Contains(w.tags, tag)
}

// Newest is the position of the newest entry; zero while the window is not live.
func (w *window) Newest() session.Position {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if !w.live {
		return session.Position{}
	}
	return w.newestLocked()
}

// newestLocked is the position of the newest entry, with the newest name of its history.
func (w *window) newestLocked() session.Position {
	if len(w.entries) == 0 {
		return session.Position{}
	}
	at := w.entries[len(w.entries)-1].at
	at.Tag = w.tags[len(w.tags)-1]
	return at
}

// Since returns commands of entries behind a position, see [session.Window].
func (w *window) Since(after session.Position, to []session.Address, most int, list []*session.Command) (out []*session.Command, through session.Position, known bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if !w.live {
		return list, session.Position{}, false
	}
	through = w.newestLocked()
	from, known := w.numberBehindLocked(after)
	if !known {
		return list, through, false
	}
	rest, last := w.behindLocked(from, to), after
	for n := 0; len(rest) > 0; n++ {
		if n == most {
			return list, last, true
		}
		at := 0
		for i := range rest {
			if rest[i][0] < rest[at][0] {
				at = i
			}
		}
		next := rest[at][0]
		command := w.entries[next-w.first].command
		list, last = append(list, command), command.At
		rest = passed(rest, next)
	}
	return list, through, true
}

// passed removes a number from the lists that begin with it, and lists that are empty.
func passed(rest [][]uint64, number uint64) [][]uint64 {
	left := rest[:0]
	for _, numbers := range rest {
		if numbers[0] == number {
			numbers = numbers[1:]
		}
		if len(numbers) > 0 {
			left = append(left, numbers)
		}
	}
	return left
}

// behindLocked returns, for each of the addresses, the numbers from a number on.
func (w *window) behindLocked(from uint64, to []session.Address) [][]uint64 {
	var lists [][]uint64
	for i, a := range to {
		numbers := w.index[a]
		if len(numbers) == 0 || numbers[len(numbers)-1] < from || slices.Contains(to[:i], a) {
			continue
		}
		k, _ := slices.BinarySearch(numbers, from)
		lists = append(lists, numbers[k:])
	}
	return lists
}

// numberBehindLocked returns the number of the entry that follows a position. Only the
// position of an entry is known, and only one behind which all entries are here: any other
// may belong to a history that Redis has lost, where it had the same tag or none.
func (w *window) numberBehindLocked(after session.Position) (number uint64, known bool) {
	if !slices.Contains(w.tags, after.Tag) {
		return 0, false
	}
	if !w.before.IsZero() && after.Compare(w.before) == 0 {
		return w.first, true
	}
	i := sort.Search(len(w.entries), func(i int) bool { return !after.After(w.entries[i].at) })
	if i == len(w.entries) || w.entries[i].at.Compare(after) != 0 {
		return 0, false
	}
	return w.first + uint64(i) + 1, true
}

// Age is that of the entry that follows p, by the clock of the log; zero if there is none or
// the window cannot tell.
func (w *window) Age(p session.Position) time.Duration {
	w.mu.RLock()
	defer w.mu.RUnlock()
	number, known := w.numberBehindLocked(p)
	if !w.live || !known || number-w.first >= uint64(len(w.entries)) {
		return 0
	}
	stored := w.entries[number-w.first].milli
	return time.Duration(max(w.clock.now(), stored)-stored) * time.Millisecond
}

// measure are the numbers of a window for Stats.
type measure struct {
	entries int
	bytes   int64
	span    time.Duration    // between the oldest entry and the newest
	newest  session.Position // also while it is not live
}

func (w *window) measure() (m measure) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	m.entries, m.bytes, m.newest = len(w.entries), w.bytes, w.newestLocked()
	if m.entries > 0 {
		m.span = time.Duration(w.entries[m.entries-1].milli-w.entries[0].milli) * time.Millisecond
	}
	return m
}
