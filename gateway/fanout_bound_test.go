package gateway

import (
	"testing"
	"time"

	"wsfpm/session"
)

func TestFanoutQueueCountsWhatHasNoMessage(t *testing.T) {
	q := &deliveries{}
	q.changed.L = &q.mu
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 1_000_000 {
			q.push(delivery{&session.Command{To: []session.Address{session.All}, Close: &session.Close{Code: 4000}}, nil})
		}
	}()
	select {
	case <-done:
		t.Errorf("a million commands wait for one worker, %d bytes by its own count", q.bytes)
	case <-time.After(5 * time.Second):
	}
	q.close()
	<-done
}
