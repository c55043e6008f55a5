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

// comeBack is the maximum of Retry-After, in seconds, for clients refused under load. The
// value is random, so that they do not all return at once.
const comeBack = 10

// admission counts the connections of the process, per address and per user, and limits the
// rate of new ones. The zero value is ready.
type admission struct {
	ofUsers atomic.Int64 // refused by limits.connections_per_user

	mu        sync.Mutex // guards what follows
	total     int
	addresses map[netip.Addr]int
	users     map[string]int
	newcomers *rate.Limiter // token bucket; nil before the first connection
}

// admit counts a connection, or returns a refusal that names the limit. A client of unknown
// address is not counted per address: behind a proxy that does not forward addresses, all
// visitors would share one count.
func (a *admission) admit(c *client, l *config.Limits) *refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	if l.Connections > 0 && a.total >= l.Connections {
		return refuse(http.StatusServiceUnavailable, "connections", "limits.connections = %d is reached", l.Connections).later(10)
	}
	key := c.limitKey()
	if c.known && l.ConnectionsPerAddress > 0 && a.addresses[key] >= l.ConnectionsPerAddress {
		return refuse(http.StatusTooManyRequests, "connections_per_address", "limits.connections_per_address = %d is reached for %s", l.ConnectionsPerAddress, key).later(10)
	}
	// The rate is checked last: a connection refused by another limit must take no token.
	if a.tooFastLocked(l) {
		return refuse(http.StatusServiceUnavailable, "accept_rate", "limits.accept_rate = %v is reached", l.AcceptRate).later(1 + rand.IntN(comeBack))
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

// tooFastLocked reports whether limits.accept_rate is exceeded.
func (a *admission) tooFastLocked(l *config.Limits) bool {
	if l.AcceptRate <= 0 {
		return false
	}
	a.newcomers = setRate(a.newcomers, l.AcceptRate, l.AcceptBurst)
	return !a.newcomers.Allow()
}

// release undoes admit.
func (a *admission) release(c *client) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total--
	if c.known {
		countDown(a.addresses, c.limitKey())
	}
}

// moveUser moves a connection from one user's count to another's, "" being none. It returns
// false, and changes nothing, if the new user has reached most.
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

// semaphore is a counting semaphore of variable size that counts refusals. The zero value
// has size 0.
type semaphore struct {
	mu      sync.Mutex // guards what follows
	size    int
	held    int
	refused int
}

// resize sets the size. Holders above it keep their place.
func (s *semaphore) resize(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size = size
}

// tryAcquire does not wait: it returns false if the semaphore is full.
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

// counts returns the number of holders and of refusals.
func (s *semaphore) counts() (held, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held, s.refused
}
