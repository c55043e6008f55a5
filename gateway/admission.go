package gateway

import (
	"net/http"
	"net/netip"
	"sync"

	"wsfpm/gateway/config"
)

// admission counts the connections of the process, of addresses and of users.
// The zero value is ready.
type admission struct {
	mu        sync.Mutex // guards what follows
	total     int
	addresses map[netip.Addr]int
	users     map[string]int
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
	if c.known {
		key := c.limitKey()
		if l.ConnectionsPerAddress > 0 && a.addresses[key] >= l.ConnectionsPerAddress {
			r := refuse(http.StatusTooManyRequests, "connections_per_address", "limits.connections_per_address = %d is reached for %s", l.ConnectionsPerAddress, key)
			r.header = retryAfter(10)
			return r
		}
		if a.addresses == nil {
			a.addresses = make(map[netip.Addr]int)
		}
		a.addresses[key]++
	}
	a.total++
	return nil
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

// places is a number of places of which some are taken. The zero value has
// none.
type places struct {
	mu    sync.Mutex
	most  int
	taken int
}

func (p *places) resize(most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = most
}

func (p *places) take() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken >= p.most {
		return false
	}
	p.taken++
	return true
}

func (p *places) give() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
}

func (p *places) inUse() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}
