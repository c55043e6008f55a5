package fcgi

import "time"

const (
	// A server that has refused this often, for this long, counts as down. A restart
	// of PHP-FPM is shorter: requests wait for it.
	downFailures = 5
	downAfter    = time.Second
	// tryEvery is the interval of attempts while the server is down.
	tryEvery = 250 * time.Millisecond
)

// circuit is a circuit breaker: while the server is down, requests fail without an
// attempt to connect, except for one trial at a time (half-open).
type circuit struct {
	down     bool
	failures int       // in a row
	since    time.Time // of the first of them
	nextTry  time.Time // while down
}

// isOpen reports whether requests fail without an attempt to connect.
func (c *circuit) isOpen(now time.Time) bool { return c.down && now.Before(c.nextTry) }

// allow reports whether to connect now; timeout bounds the attempt.
func (c *circuit) allow(now time.Time, timeout time.Duration) bool {
	if c.isOpen(now) {
		return false
	}
	c.nextTry = now.Add(timeout + tryEvery) // without a result until then; see tried
	return true
}

// tried records an attempt that ended without a connection.
func (c *circuit) tried(now time.Time) { c.nextTry = now.Add(tryEvery) }

// failed records a failed attempt and reports whether it opened the circuit.
func (c *circuit) failed(now time.Time) bool {
	if c.failures == 0 {
		c.since = now
	}
	c.failures++
	if c.down || c.failures < downFailures || now.Sub(c.since) < downAfter {
		return false
	}
	c.down = true
	return true
}

// succeeded records a connection and reports whether it closed the circuit.
func (c *circuit) succeeded() bool {
	was := c.down
	*c = circuit{}
	return was
}
