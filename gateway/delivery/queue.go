package delivery

import (
	"context"
	"sync"
	"sync/atomic"
)

const (
	// maxBytes bounds the memory of one shard's queue, see task.size. One command
	// always fits.
	maxBytes = 16 << 20
	// A batch is all queued tasks, at most batchTasks, and at most batchMembers
	// deliveries, unless a single task has more.
	batchTasks   = 64
	batchMembers = 16 << 10
)

// queue is the bounded FIFO queue of one worker.
type queue struct {
	joins atomic.Int64 // tasks that join and that the worker has not started

	mu     sync.Mutex // guards what follows
	work   sync.Cond  // there are tasks, or the queue is closed
	room   chan struct{}
	tasks  []task
	first  []task // reused memory for a few tasks
	last   uint64 // the latest command's number
	bytes  int64  // of the tasks, and of those taken and not released
	closed bool
}

func newQueue() *queue {
	q := &queue{room: make(chan struct{}, 1), first: make([]task, 0, batchTasks)}
	q.tasks = q.first
	q.work.L = &q.mu
	return q
}

// tryPush queues one command's tasks for the shard if there is room.
func (q *queue) tryPush(tasks []task, shard int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	held := tasks[0].size() // including the command, which the tasks share
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

// push is like tryPush but waits for room until ctx ends.
func (q *queue) push(ctx context.Context, tasks []task, shard int) error {
	for !q.tryPush(tasks, shard) {
		select {
		case <-q.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	signal(q.room) // the next waiter may fit as well
	return nil
}

// take waits for tasks and returns a batch, in the memory of the last one if that
// suffices; open is false when the queue is closed. The bytes of the batch count until
// release.
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

// release subtracts n bytes.
func (q *queue) release(n int64) {
	q.mu.Lock()
	q.bytes -= n
	q.mu.Unlock()
	signal(q.room)
}

// held returns the bytes of the tasks.
func (q *queue) held() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed, q.tasks = true, nil
	q.mu.Unlock()
	q.work.Broadcast()
	signal(q.room)
}

// signal puts a token into c unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
