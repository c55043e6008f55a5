package fcgi

import (
	"errors"
	"net"
	"testing"
	"time"

	"wsfpm/test/fcgitest"
)

// A server that answers probes is replaced by one that does not, as when PHP 8.2 is
// rolled back to 8.1: the pool tests the probe again.
func TestAnotherServerAtTheSameAddress(t *testing.T) {
	for name, other := range map[string]fcgitest.Options{
		"closes after the probe": {CloseAfterValues: true},
		"ignores the probe":      {IgnoreValues: true},
	} {
		for when, outage := range map[string]bool{"at once": false, "after an outage": true} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				other := other
				other.Address = t.TempDir() + "/fcgi.sock"
				old := fcgitest.NewServer(fcgitest.Echo, fcgitest.Options{Address: other.Address})
				defer old.Close()
				p := poolFor(t, old, Config{MaxConnections: 4, QueueWait: time.Second, Timeout: 2 * time.Second})
				if _, _, err := call(p, &Request{Env: testEnv(t)}); err != nil || !p.Stats().Probe {
					t.Fatalf("got %v, probe %v, want an answer and a working probe", err, p.Stats().Probe)
				}
				old.Close()
				if outage {
					eventually(t, "PHP to be taken for down", func() bool { call(p, &Request{Env: testEnv(t)}); return p.Stats().Down })
				}
				serve(t, fcgitest.Echo, other)
				failed := 0
				ask := func() error {
					_, _, err := call(p, &Request{Env: testEnv(t)})
					if err != nil && !errors.Is(err, ErrUnavailable) {
						failed++
					}
					return err
				}
				eventually(t, "a look whether it is back", func() bool { return !errors.Is(ask(), ErrUnavailable) })
				for range 10 {
					ask()
				}
				if st := p.Stats(); failed > 1 || st.Probe || st.Settling > 0 {
					t.Errorf("%d requests failed, probe %v, %d slots settle: want one at most, no and none", failed, st.Probe, st.Settling)
				}
			})
		}
	}
}

// A server too busy to answer the first probe answers it before the request after it,
// which shows that it supports probes.
func TestABusyServerAnswersTheProbeLater(t *testing.T) {
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
	eventually(t, "the end of the wait for an answer", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for c := range p.conns {
			if c.asked {
				return true
			}
		}
		return false
	})
	other.Close()
	if err := <-answered; err != nil || !p.Stats().Probe {
		t.Errorf("got %v, probe %v, want an answer and a working probe", err, p.Stats().Probe)
	}
}
