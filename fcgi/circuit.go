package fcgi

import "time"

const (
	// A server that has refused this often, for this long, is taken to be down. A
	// restart of PHP-FPM is shorter: requests wait for it.
	downFailures = 5
	downAfter    = time.Second
	// tryEvery is how often one request may try a server that is down.
	tryEvery = 250 * time.Millisecond
)

// circuit is a circuit breaker: it remembers whether the server can be reached, so
// that requests for one that is down fail at once and do not hammer it.
type circuit struct {
	down     bool
	failures int       // in a row
	since    time.Time // of the first of them
	nextTry  time.Time // while down
}

// isOpen reports whether requests fail without an attempt to connect.
func (c *circuit) isOpen(now time.Time) bool { return c.down && now.Before(c.nextTry) }

// allow reports whether to connect now, which takes as long as timeout. While the
// server is down there is one attempt at a time.
func (c *circuit) allow(now time.Time, timeout time.Duration) bool {
	if c.isOpen(now) {
		return false
	}
	c.nextTry = now.Add(timeout + tryEvery) // without a result until then; see tried
	return true
}

// tried notes that an attempt has ended without a connection.
func (c *circuit) tried(now time.Time) { c.nextTry = now.Add(tryEvery) }

// failed notes an attempt that failed and tells whether the server has just been
// found to be down.
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

// succeeded notes a connection and tells whether the server had been down.
func (c *circuit) succeeded() bool {
	was := c.down
	*c = circuit{}
	return was
}
