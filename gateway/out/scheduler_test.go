package out

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// scheduled is an outlet that waits for its turns.
func scheduled(s *Scheduler) *Outlet {
	o := new(Outlet)
	o.Init(&transport{}, &Shared{Outgoing: new(Outgoing), Scheduler: s, Stats: new(Stats)}, &Limits{})
	return o
}

func TestSchedulerKeepsItsOrder(t *testing.T) {
	s := NewScheduler()
	defer s.Stop()
	random := rand.New(rand.NewPCG(1, 2))
	outlets := make([]*Outlet, 200)
	for i := range outlets {
		outlets[i] = scheduled(s)
	}
	for step := range 20_000 {
		o := outlets[random.IntN(len(outlets))]
		if random.IntN(2) == 0 {
			s.remove(o)
		} else {
			s.arm(o, time.Hour+time.Duration(random.IntN(1000))*time.Minute)
		}
		for i, o := range s.turns {
			if int(o.turn) != i+1 || i > 0 && s.turns[(i-1)/2].due > o.due {
				t.Fatalf("step %d: turn %d is out of place", step, i)
			}
		}
	}
}

func TestSchedulerTakesTurnsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewScheduler()
		var outlets []*Outlet
		for i := range 100 {
			o := scheduled(s)
			s.arm(o, time.Duration((i*37)%100+1)*time.Second)
			outlets = append(outlets, o)
		}
		for i, o := range outlets {
			if i%3 == 0 {
				s.remove(o)
			}
		}
		for second := range 101 {
			time.Sleep(time.Second)
			synctest.Wait()
			for i, o := range outlets {
				due := time.Duration((i*37)%100+1) * time.Second
				waits := i%3 != 0 && due > time.Duration(second+1)*time.Second
				s.mu.Lock()
				armed := o.turn != 0
				s.mu.Unlock()
				if armed != waits {
					t.Fatalf("outlet %d due after %v: armed %v after %d s", i, due, armed, second+1)
				}
			}
		}
		s.Stop()
	})
}
