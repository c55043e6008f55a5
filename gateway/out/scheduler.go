package out

import (
	"container/heap"
	"sync"
	"time"
)

// tickLength is the resolution of a Scheduler: ticks due within it run together.
const tickLength = 10 * time.Millisecond

// Scheduler is a timer queue: one timer for the pings and time limits of all clients of a
// process. It runs due ticks on a goroutine of their own, which never waits for a client.
// It is safe for concurrent use.
type Scheduler struct {
	start   time.Time
	turning sync.Mutex // held while ticks run; locked before mu

	mu      sync.Mutex // guards what follows; locked after Outlet.mu
	turns   turns
	timer   *time.Timer
	next    time.Duration // when the timer fires; 0: it is stopped
	stopped bool
}

// turns is a min-heap of outlets, ordered by Outlet.due.
type turns []*Outlet

// NewScheduler returns a scheduler. The caller must call Stop.
func NewScheduler() *Scheduler { return &Scheduler{start: time.Now()} }

// Stop stops the scheduler and waits for running ticks. Queues are still written, but time
// limits no longer apply.
func (s *Scheduler) Stop() {
	s.mu.Lock()
	s.stopped = true
	s.turns = nil
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.turning.Lock()
	defer s.turning.Unlock()
}

// Now returns the time since NewScheduler; it is never zero.
func (s *Scheduler) Now() time.Duration { return time.Since(s.start) + 1 }

// Time converts scheduler time to wall-clock time.
func (s *Scheduler) Time(at time.Duration) time.Time { return s.start.Add(at) }

// arm schedules o's tick, unless it is due earlier.
func (s *Scheduler) arm(o *Outlet, at time.Duration) {
	at = (at + tickLength - 1) / tickLength * tickLength
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped, o.turn > 0 && o.due <= at:
		return
	case o.turn == 0:
		o.due = at
		heap.Push(&s.turns, o)
	default:
		o.due = at
		heap.Fix(&s.turns, int(o.turn-1))
	}
	s.setLocked()
}

// remove cancels o's tick.
func (s *Scheduler) remove(o *Outlet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.turn > 0 && !s.stopped {
		heap.Remove(&s.turns, int(o.turn-1))
	}
}

// setLocked sets the timer to the earliest tick.
func (s *Scheduler) setLocked() {
	if s.stopped || len(s.turns) == 0 {
		return
	}
	first := s.turns[0].due
	if s.next != 0 && s.next <= first {
		return
	}
	s.next = first
	wait := first - s.Now()
	if s.timer == nil {
		s.timer = time.AfterFunc(wait, s.take)
		return
	}
	s.timer.Reset(wait)
}

// take runs all ticks that are due.
func (s *Scheduler) take() {
	s.turning.Lock()
	defer s.turning.Unlock()
	for {
		s.mu.Lock()
		now := s.Now()
		if len(s.turns) == 0 || s.turns[0].due > now {
			s.next = 0
			s.setLocked()
			s.mu.Unlock()
			return
		}
		o := heap.Pop(&s.turns).(*Outlet)
		s.mu.Unlock()
		o.owner.Tick(now)
	}
}

// Len implements heap.Interface.
func (t turns) Len() int { return len(t) }

// Less implements heap.Interface.
func (t turns) Less(i, j int) bool { return t[i].due < t[j].due }

// Swap implements heap.Interface.
func (t turns) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].turn, t[j].turn = int32(i+1), int32(j+1)
}

// Push implements heap.Interface.
func (t *turns) Push(o any) {
	*t = append(*t, o.(*Outlet))
	o.(*Outlet).turn = int32(len(*t))
}

// Pop implements heap.Interface.
func (t *turns) Pop() any {
	last := len(*t) - 1
	o := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	o.turn = 0
	return o
}
