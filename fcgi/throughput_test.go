package fcgi

import (
	"testing"
	"testing/synctest"
	"time"
)

// One script that hangs does not cause load shedding for long.
func TestOneLongScriptDoesNotDominateTheAverage(t *testing.T) {
	p := newTestPool(t, Config{Address: "/nowhere", MaxConnections: 1, QueueWait: time.Second})
	p.mu.Lock()
	p.service, p.open = 5*time.Millisecond, 1
	p.mu.Unlock()
	p.release(slot{cfg: p.cfg, since: time.Now().Add(-time.Minute)}, false)
	p.mu.Lock()
	defer p.mu.Unlock()
	for range 10 {
		p.queue.push(&waiter{lane: LaneHigh}, 1)
	}
	if err := p.refuseLocked(LaneHigh, nil, time.Now()); err != nil {
		t.Error(err)
	}
	p.queue = queue{owners: p.queue.owners}
}

// A machine that stands still for two seconds makes each running request late, and no queue
// long; requests that take a second do.
func TestTheExpectedWaitIsThatOfThePace(t *testing.T) {
	for _, test := range []struct {
		name  string
		ended []int // requests in each second
		took  time.Duration
		shed  bool
	}{
		{"two seconds' pause", []int{300, 300, 300, 0, 6}, 2 * time.Second, false},
		{"slow for long", []int{6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6}, time.Second, true},
		{"slow for as long as an event may wait", []int{300, 300, 300, 300, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6}, time.Second, true},
		{"quick", []int{300, 300, 300, 300, 300}, 20 * time.Millisecond, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newTestPool(t, Config{Address: "/nowhere", MaxConnections: 6, QueueWait: 5 * time.Second})
				for _, n := range test.ended {
					time.Sleep(time.Second)
					for range n {
						p.open++
						took := 20 * time.Millisecond
						if n == 6 {
							took = test.took
						}
						p.release(slot{cfg: p.cfg, since: time.Now().Add(-took)}, false)
					}
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				for range 77 {
					p.queue.push(&waiter{lane: LaneHigh}, 1)
				}
				if err := p.refuseLocked(LaneHigh, nil, time.Now()); (err != nil) != test.shed {
					t.Errorf("got %v, service %v", err, p.service)
				}
				p.queue = queue{owners: p.queue.owners}
			})
		})
	}
}
