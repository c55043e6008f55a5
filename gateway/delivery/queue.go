package delivery

import (
	"context"
	"sync"
	"sync/atomic"
)

const (
	// maxBytes bounds the memory of what waits in one shard, see task.size. One
	// command always fits.
	maxBytes = 16 << 20
	// A batch is as many tasks as wait, but no more than batchTasks, and no more
	// than bring batchMembers deliveries, unless one alone does.
	batchTasks   = 64
	batchMembers = 16 << 10
)

// queue is what waits for one worker, in order and within a bound.
type queue struct {
	joins atomic.Int64 // tasks that join, and that the worker has not begun

	mu     sync.Mutex // guards what follows
	work   sync.Cond  // tasks came, or closed
	room   chan struct{}
	tasks  []task
	first  []task // the memory of tasks that a trickle needs, used again and again
	last   uint64 // the latest command's number
	bytes  int64  // of the tasks, and of those that were taken and not released
	closed bool
}

func newQueue() *queue {
	q := &queue{room: make(chan struct{}, 1), first: make([]task, 0, batchTasks)}
	q.tasks = q.first
	q.work.L = &q.mu
	return q
}

// tryPush queues those of one command's tasks that are for the shard, if there is
// room.
func (q *queue) tryPush(tasks []task, shard int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	held := tasks[0].size() // of the command, which its tasks share
	if !q.closed && q.bytes > 0 && q.bytes+held > maxBytes {
		return false
	}
	q.last++
	for i := range tasks {
		t := &tasks[i]
		if t.shard != shard {
			continue
		}
		t.shard = -1
		if q.closed {
			continue
		}
		t.number, t.held = q.last, held
		q.tasks = append(q.tasks, *t)
		q.bytes += held
		if len(t.command.Join) > 0 {
			q.joins.Add(1)
		}
		held = taskSize
	}
	q.work.Signal()
	return true
}

// push is tryPush that waits for room until ctx ends.
func (q *queue) push(ctx context.Context, tasks []task, shard int) error {
	for !q.tryPush(tasks, shard) {
		select {
		case <-q.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	signal(q.room) // the next that waits may fit as well
	return nil
}

// take waits for tasks and returns a batch of them, in the memory of the last one if
// that is enough; it reports false when the queue is closed. What they hold counts
// until release.
func (q *queue) take(last []task) (batch []task, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.tasks) == 0 && !q.closed {
		q.work.Wait()
	}
	if q.closed {
		return nil, false
	}
	n, members := 0, 0
	for n < min(len(q.tasks), batchTasks) {
		members += q.tasks[n].members()
		if n > 0 && members > batchMembers {
			break
		}
		n++
	}
	batch = append(last[:0], q.tasks[:n]...)
	clear(q.tasks[:n])
	if q.tasks = q.tasks[n:]; len(q.tasks) == 0 {
		q.tasks = q.first[:0]
	}
	return batch, true
}

// release takes n bytes off.
func (q *queue) release(n int64) {
	q.mu.Lock()
	q.bytes -= n
	q.mu.Unlock()
	signal(q.room)
}

// waiting is how many tasks wait, and the bytes that are held.
func (q *queue) waiting() (tasks int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.tasks), q.bytes
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed, q.tasks = true, nil
	q.mu.Unlock()
	q.work.Broadcast()
	signal(q.room)
}

// signal leaves a token in c unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
