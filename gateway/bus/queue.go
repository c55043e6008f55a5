package bus

import (
	"context"
	"sync"
	"sync/atomic"

	"wsfpm/session"
)

// Bounds of the commands that wait for the reader of [Bus.Commands]. One
// command always fits, however large it is.
const (
	queueBytes = 16 << 20
	queueCount = 64 << 10
)

// commandCost is what a command occupies beside its payload, in bytes.
const commandCost = 256

// queue holds commands for one reader, in order and within bounds. Any number
// of goroutines may push.
type queue struct {
	out    chan session.Command
	stalls atomic.Uint64 // pushes that had to wait for room

	work chan struct{} // holds a token when there may be items
	room chan struct{} // holds a token when there may be room

	mu    sync.Mutex // guards what follows
	items []item
	count int   // commands that the reader has not taken
	bytes int64 // what they occupy
}

type item struct {
	command session.Command
	bytes   int64
}

func newQueue() *queue {
	return &queue{
		out:  make(chan session.Command),
		work: make(chan struct{}, 1),
		room: make(chan struct{}, 1),
	}
}

// push adds a command whose payload has so many bytes. It waits for room
// until ctx ends.
func (q *queue) push(ctx context.Context, c session.Command, payload int) error {
	if q.tryPush(c, payload) {
		return nil
	}
	q.stalls.Add(1)
	for !q.tryPush(c, payload) {
		select {
		case <-q.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	signal(q.room) // the next that waits may fit as well
	return nil
}

// tryPush is push for a command that fits, and tells whether it did.
func (q *queue) tryPush(c session.Command, payload int) bool {
	it := item{c, int64(payload) + commandCost}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count > 0 && (q.count >= queueCount || q.bytes+it.bytes > queueBytes) {
		return false
	}
	q.items = append(q.items, it)
	q.count++
	q.bytes += it.bytes
	signal(q.work)
	return true
}

// pump hands the commands to the reader until ctx ends, then closes out.
func (q *queue) pump(ctx context.Context) {
	defer close(q.out)
	for {
		for _, it := range q.take() {
			select {
			case q.out <- it.command:
				q.taken(it)
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-q.work:
		case <-ctx.Done():
			return
		}
	}
}

// take removes all items. They count until taken is called for each.
func (q *queue) take() []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = nil
	return items
}

// taken notes that the reader has it.
func (q *queue) taken(it item) {
	q.mu.Lock()
	q.count--
	q.bytes -= it.bytes
	q.mu.Unlock()
	signal(q.room)
}

// signal leaves a token in c unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// waiting is how much the reader has not taken.
func (q *queue) waiting() (count, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return int64(q.count), q.bytes
}
