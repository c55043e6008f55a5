package out

import (
	"sync"
	"time"
)

// tickLength is how exact a Scheduler is: turns within one tick come together.
const tickLength = 10 * time.Millisecond

// Scheduler has one timer for the pings and time limits of all clients of a process.
// It starts a goroutine when turns are due, which writes without waiting and ends.
// The textbook name is a timer heap. It is safe for concurrent use.
type Scheduler struct {
	start   time.Time
	turning sync.Mutex // held while turns are taken; locked before mu

	mu      sync.Mutex // guards what follows; locked after Outlet.mu
	turns   []turn     // a heap: the earliest is the first
	timer   *time.Timer
	next    time.Duration // when the timer fires; 0: it does not
	stopped bool
}

// turn is when an owner of an outlet wants to be called.
type turn struct {
	at time.Duration // since Scheduler.start
	o  *Outlet
}

// NewScheduler makes a scheduler. Stop ends it.
func NewScheduler() *Scheduler { return &Scheduler{start: time.Now()} }

// Stop ends the scheduler and waits for the turns that are being taken. What is
// queued still goes out, but nothing times out any more.
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

// Now is the time since the scheduler was made, never zero.
func (s *Scheduler) Now() time.Duration { return time.Since(s.start) + 1 }

// Time is a time of the scheduler's as others know it.
func (s *Scheduler) Time(at time.Duration) time.Time { return s.start.Add(at) }

// arm lets o have a turn at a time, or earlier if it wants one earlier.
func (s *Scheduler) arm(o *Outlet, at time.Duration) {
	at = (at + tickLength - 1) / tickLength * tickLength
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
		return
	case o.turn == 0:
		s.turns = append(s.turns, turn{at, o})
		o.turn = len(s.turns)
	case s.turns[o.turn-1].at <= at:
		return
	default:
		s.turns[o.turn-1].at = at
	}
	s.up(o.turn - 1)
	s.setLocked()
}

// remove takes o's turn away.
func (s *Scheduler) remove(o *Outlet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.turn > 0 && !s.stopped {
		s.takeLocked(o.turn - 1)
	}
}

// setLocked lets the timer fire at the earliest turn.
func (s *Scheduler) setLocked() {
	if s.stopped || len(s.turns) == 0 {
		return
	}
	first := s.turns[0].at
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

// take gives every owner its turn that is due.
func (s *Scheduler) take() {
	s.turning.Lock()
	defer s.turning.Unlock()
	for {
		s.mu.Lock()
		now := s.Now()
		if len(s.turns) == 0 || s.turns[0].at > now {
			s.next = 0
			s.setLocked()
			s.mu.Unlock()
			return
		}
		o := s.takeLocked(0)
		s.mu.Unlock()
		o.owner.Tick(now)
	}
}

// takeLocked removes the turn at index i and returns its outlet.
func (s *Scheduler) takeLocked(i int) *Outlet {
	o := s.turns[i].o
	last := len(s.turns) - 1
	s.swap(i, last)
	s.turns[last] = turn{}
	s.turns = s.turns[:last]
	o.turn = 0
	if i < last {
		s.down(i)
		s.up(i)
	}
	return o
}

// swap exchanges two turns.
func (s *Scheduler) swap(i, j int) {
	s.turns[i], s.turns[j] = s.turns[j], s.turns[i]
	s.turns[i].o.turn, s.turns[j].o.turn = i+1, j+1
}

// up moves a turn towards the front, to its place.
func (s *Scheduler) up(i int) {
	for i > 0 && s.turns[i].at < s.turns[(i-1)/2].at {
		s.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

// down moves a turn towards the end, to its place.
func (s *Scheduler) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s.turns); child++ {
			if s.turns[child].at < s.turns[least].at {
				least = child
			}
		}
		if least == i {
			return
		}
		s.swap(i, least)
		i = least
	}
}
