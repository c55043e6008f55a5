package fcgi

import (
	"net"
	"testing"
	"time"

	"wsfpm/fcgi/fcgitest"
)

// Another PHP takes the place of one that gave signs of life, as when 8.2 is
// rolled back to 8.1: what was learned of the one is not believed of the other.
func TestAnotherServerAtTheSameAddress(t *testing.T) {
	for name, other := range map[string]fcgitest.Options{
		"closes behind the probe": {CloseAfterValues: true},
		"ignores the probe":       {IgnoreValues: true},
	} {
		for when, outage := range map[string]time.Duration{"at once": 0, "after an outage": downAfter + 500*time.Millisecond} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				other := other
				other.Address = t.TempDir() + "/fcgi.sock"
				old := fcgitest.NewServer(fcgitest.Echo, fcgitest.Options{Address: other.Address})
				defer old.Close()
				p := poolFor(t, old, Config{MaxConnections: 4, QueueWait: time.Second, Timeout: 2 * time.Second})
				if _, _, err := call(p, &Request{Env: testEnv(t)}); err != nil || !p.Stats().Probe {
					t.Fatalf("got %v, probe %v, want an answer and a sign of life", err, p.Stats().Probe)
				}
				old.Close()
				for away := time.Now(); time.Since(away) < outage; {
					call(p, &Request{Env: testEnv(t)})
				}
				serve(t, fcgitest.Echo, other)
				time.Sleep(tryEvery) // nobody asks sooner whether it is back
				failed := 0
				for range 10 {
					if _, _, err := call(p, &Request{Env: testEnv(t)}); err != nil {
						failed++
					}
				}
				if st := p.Stats(); failed > 1 || st.Probe || st.Settling > 0 {
					t.Errorf("%d of 10 requests failed, probe %v, %d slots settle: want one at most, no and none", failed, st.Probe, st.Settling)
				}
			})
		}
	}
}

// A server too busy to answer the first question answers it before the request
// behind it, and so tells that it works.
func TestABusyServerTellsOfTheProbeLater(t *testing.T) {
	s := serve(t, fcgitest.Echo, fcgitest.Options{Workers: 1})
	p := poolFor(t, s, Config{})
	other, err := net.Dial(s.Network, s.Address)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a busy worker", func() bool { return s.Open() == 1 })
	answered := make(chan error, 1)
	go func() {
		_, _, err := call(p, &Request{Env: testEnv(t)})
		answered <- err
	}()
	time.Sleep(probeAnswer + 200*time.Millisecond)
	other.Close()
	if err := <-answered; err != nil || !p.Stats().Probe {
		t.Errorf("got %v, probe %v, want an answer and a sign of life", err, p.Stats().Probe)
	}
}
