package fcgi

import (
	"cmp"
	"fmt"
	"time"
)

// Config describes an application server and a Pool's limits. Fields without a
// documented default have none: zero means none.
type Config struct {
	// Network and Address are as for net.Dial: "unix" (the default) with a path,
	// or "tcp" with host:port. Address has no default.
	Network, Address string

	// MaxConnections is the number of workers that the pool may occupy, running or
	// idle; at least 1. PHP-FPM's default pool has five: occupying all of them blocks
	// the web site.
	MaxConnections int
	// MaxIdle bounds the idle connections, each of which occupies a worker. 0: none.
	// At most MaxConnections.
	MaxIdle int
	// IdleTimeout is how long an idle connection is kept. 0: a new connection for
	// every request.
	IdleTimeout time.Duration

	// QueueWait bounds the wait for a slot and for an unreachable server. 0: a request
	// without a free slot fails at once.
	QueueWait time.Duration
	// QueueLen bounds the requests waiting in each lane. Default 10,000.
	QueueLen int
	// Share is the fraction of the slots that one owner may hold while others wait,
	// 0 to 1; at least one slot.
	Share float64

	// Timeout bounds a request that has none of its own, from getting a slot to the
	// end of the answer. Default 30 s.
	Timeout time.Duration
	// DialTimeout bounds one attempt to connect. 0: the system's timeout.
	DialTimeout time.Duration

	// MaxAnswer bounds an answer's body if the request does not. Default 16 MiB.
	MaxAnswer int64
	// MaxHeader bounds an answer's header block. Default 64 KiB.
	MaxHeader int64
	// MaxStderr bounds the kept part of a request's error text. Default 16 KiB.
	MaxStderr int64
}

const (
	// settleExtra is how long beyond its timeout an abandoned script may hold its slot
	// before its connection is closed.
	settleExtra = 5 * time.Second
	// stallAfter is the time within which a worker should accept a new connection, in
	// addition to the network's round trip.
	stallAfter = 50 * time.Millisecond
)

// Check returns an error if c is invalid. [NewPool] and [Pool.Configure] return the
// same error.
func (c Config) Check() error {
	_, err := c.withDefaults()
	return err
}

// withDefaults returns c with its defaults, or an error if it is invalid.
func (c Config) withDefaults() (*Config, error) {
	c.Network = cmp.Or(c.Network, "unix")
	c.QueueLen = cmp.Or(c.QueueLen, 10_000)
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	c.MaxAnswer = cmp.Or(c.MaxAnswer, 16<<20)
	c.MaxHeader = cmp.Or(c.MaxHeader, 64<<10)
	c.MaxStderr = cmp.Or(c.MaxStderr, 16<<10)
	switch {
	case c.Address == "":
		return nil, fmt.Errorf("fcgi: no address")
	case c.Network != "unix" && c.Network != "tcp" && c.Network != "tcp4" && c.Network != "tcp6":
		return nil, fmt.Errorf("fcgi: network %q, want unix or tcp", c.Network)
	case c.MaxConnections < 1:
		return nil, fmt.Errorf("fcgi: %d connections to %s, want at least 1", c.MaxConnections, c.Address)
	case c.MaxIdle < 0 || c.IdleTimeout < 0 || c.QueueWait < 0 || c.QueueLen < 0 || c.Timeout < 0 || c.DialTimeout < 0:
		return nil, fmt.Errorf("fcgi: negative limit or time in the configuration of %s", c.Address)
	case c.MaxAnswer < 0 || c.MaxHeader < 0 || c.MaxStderr < 0:
		return nil, fmt.Errorf("fcgi: negative size in the configuration of %s", c.Address)
	case !(c.Share >= 0 && c.Share <= 1):
		return nil, fmt.Errorf("fcgi: share %v of %s, want 0 to 1", c.Share, c.Address)
	}
	c.MaxIdle = min(c.MaxIdle, c.MaxConnections)
	if c.IdleTimeout == 0 {
		c.MaxIdle = 0
	}
	return &c, nil
}

// reuses reports whether a connection may carry more than one request.
func (c *Config) reuses() bool { return c.IdleTimeout > 0 }
