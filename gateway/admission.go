package gateway

import (
	"math/rand/v2"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"wsfpm/gateway/config"
)

// comeBack is within how many seconds a client may try again that came in a
// storm: one of them, by chance, so that the storm does not come back as one.
const comeBack = 10

// admission counts the connections of the process, of addresses and of users,
// and newcomers by the second. The zero value is ready.
type admission struct {
	ofUsers atomic.Int64 // kept out by limits.connections_per_user

	mu        sync.Mutex // guards what follows
	total     int
	addresses map[netip.Addr]int
	users     map[string]int
	newcomers *rate.Limiter // nil before the first
}

// admit counts a connection in, or says which limit keeps it out. One whose
// address is not known is not counted against an address: behind a proxy that
// does not forward addresses, all visitors would share one count.
func (a *admission) admit(c *client, l *config.Limits) *refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.Connections > 0 && a.total >= l.Connections {
		r := refuse(http.StatusServiceUnavailable, "connections", "limits.connections = %d is reached", l.Connections)
		r.header = retryAfter(10)
		return r
	}
	key := c.limitKey()
	if c.known && l.ConnectionsPerAddress > 0 && a.addresses[key] >= l.ConnectionsPerAddress {
		r := refuse(http.StatusTooManyRequests, "connections_per_address", "limits.connections_per_address = %d is reached for %s", l.ConnectionsPerAddress, key)
		r.header = retryAfter(10)
		return r
	}
	// The last rule: whom another one keeps out takes no other's turn.
	if a.tooFastLocked(l) {
		r := refuse(http.StatusServiceUnavailable, "accept_rate", "limits.accept_rate = %v is reached", l.AcceptRate)
		r.header = retryAfter(1 + rand.IntN(comeBack))
		return r
	}
	if c.known {
		if a.addresses == nil {
			a.addresses = make(map[netip.Addr]int)
		}
		a.addresses[key]++
	}
	a.total++
	return nil
}

// tooFastLocked reports whether more newcomers come than limits.accept_rate
// lets on to PHP.
func (a *admission) tooFastLocked(l *config.Limits) bool {
	if l.AcceptRate <= 0 {
		return false
	}
	a.newcomers = setRate(a.newcomers, l.AcceptRate, l.AcceptBurst)
	return !a.newcomers.Allow()
}

// release takes back what admit counted.
func (a *admission) release(c *client) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total--
	if c.known {
		countDown(a.addresses, c.limitKey())
	}
}

// moveUser counts a connection from one user to another, "" being none. It
// reports false, and changes nothing, when the new user has too many already.
func (a *admission) moveUser(from, to string, most int) bool {
	if from == to {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if to != "" && most > 0 && a.users[to] >= most {
		a.ofUsers.Add(1)
		return false
	}
	if to != "" {
		if a.users == nil {
			a.users = make(map[string]int)
		}
		a.users[to]++
	}
	if from != "" {
		countDown(a.users, from)
	}
	return true
}

func countDown[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// semaphore is a counting semaphore whose size may change, and which counts refusals.
// The zero value has no room.
type semaphore struct {
	mu      sync.Mutex // guards what follows
	size    int
	held    int
	refused int
}

// resize sets how many may hold it. Those that hold it beyond that keep it.
func (s *semaphore) resize(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size = size
}

// tryAcquire does not wait: it reports false when there is no room.
func (s *semaphore) tryAcquire() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held >= s.size {
		s.refused++
		return false
	}
	s.held++
	return true
}

func (s *semaphore) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held--
}

// counts are how many hold it, and how often there was no room.
func (s *semaphore) counts() (held, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held, s.refused
}
