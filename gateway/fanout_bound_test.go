package gateway

import (
	"testing"
	"testing/synctest"

	"wsfpm/session"
)

func TestFanoutQueueCountsWhatHasNoMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &deliveries{}
		q.changed.L = &q.mu
		done := false
		go func() {
			for range 1_000_000 {
				q.push(delivery{&session.Command{To: []session.Address{session.All}, Close: &session.Close{Code: 4000}}, nil})
			}
			done = true
		}()
		synctest.Wait() // until push waits for the worker
		if done {
			t.Errorf("a million commands wait for one worker, %d bytes by its own count", q.bytes)
		}
		q.close()
	})
}
