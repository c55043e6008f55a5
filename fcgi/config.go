package fcgi

import (
	"fmt"
	"time"
)

// Config says where an application server is and what a Pool may take of it. What
// an operator chooses has no default here: zero means none. The other fields take
// the defaults named below when they are zero.
type Config struct {
	// Network and Address are as for net.Dial: "unix" (the default) with a path,
	// or "tcp" with host:port. Address has no default.
	Network, Address string

	// MaxConnections is the number of workers that the pool may occupy at once,
	// running or idle; at least 1. PHP-FPM's stock pool has five, and a pool that
	// takes them all stops the site.
	MaxConnections int
	// MaxIdle bounds the connections kept between requests, each of which holds a
	// worker. 0: none are kept. Never more than MaxConnections.
	MaxIdle int
	// IdleTimeout is how long one is kept. 0: a new connection for every request.
	IdleTimeout time.Duration

	// QueueWait is the longest wait for a slot and for a server that cannot be
	// reached. 0: a request that finds no slot fails at once.
	QueueWait time.Duration
	// QueueLen bounds the requests waiting in each lane. Default 10,000.
	QueueLen int
	// Share is the part of the slots that one owner may hold while others wait, 0
	// to 1; at least one slot.
	Share float64

	// Timeout is a request's time when it names none, from having a slot to the
	// end of the answer. Default 30 s.
	Timeout time.Duration
	// DialTimeout bounds one attempt to connect. 0: as the system does.
	DialTimeout time.Duration

	// MaxAnswer bounds an answer's body when the request does not. Default 16 MiB.
	MaxAnswer int64
	// MaxHeader bounds an answer's header block. Default 64 KiB.
	MaxHeader int64
	// MaxStderr bounds what is kept of a request's error text. Default 16 KiB.
	MaxStderr int64
}

const (
	// settleExtra is how much longer than its timeout an abandoned script may hold
	// its slot before its connection is closed.
	settleExtra = 5 * time.Second
	// stallAfter is how soon a worker should have come for a new connection, beside
	// the time that the network takes.
	stallAfter = 50 * time.Millisecond
)

// Check says what is wrong with c, or nil. [NewPool] and [Pool.Configure] refuse
// the same.
func (c Config) Check() error {
	_, err := c.withDefaults()
	return err
}

// withDefaults returns c with its defaults, or what is wrong with it.
func (c Config) withDefaults() (*Config, error) {
	setDefault(&c.Network, "unix")
	setDefault(&c.QueueLen, 10_000)
	setDefault(&c.Timeout, 30*time.Second)
	setDefault(&c.MaxAnswer, 16<<20)
	setDefault(&c.MaxHeader, 64<<10)
	setDefault(&c.MaxStderr, 16<<10)
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

// reuses tells whether a connection may carry more than one request.
func (c *Config) reuses() bool { return c.IdleTimeout > 0 }

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
