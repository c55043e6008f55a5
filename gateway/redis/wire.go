package redis

import (
	"context"
	"errors"
	"net"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// errSecond is returned instead of a second connection.
var errSecond = errors.New("the connection has ended")

// wire is the only connection of a client that is made by alone. go-redis would replace a
// lost one silently.
type wire struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu     sync.Mutex // guards what follows
	conn   net.Conn
	used   bool // a connection was asked for
	closed bool
}

// alone returns a client with one connection to the server of node, and no other after it. It
// is in database 0: the caller selects another, to see why that is refused.
func alone(node *goredis.Client) (*goredis.Client, *wire) {
	o := *node.Options()
	w := &wire{dial: o.Dialer}
	o.Dialer = w.open
	o.MaxRetries = -1 // 0 would be the default here
	o.DB = 0
	// With a size of 1 one failed attempt would make go-redis try on by itself.
	o.PoolSize, o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns = 2, 0, 0, 0
	o.ConnMaxIdleTime, o.ConnMaxLifetime = -1, -1
	return goredis.NewClient(&o), w
}

// open connects once.
func (w *wire) open(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	used := w.used || w.closed
	w.used = true
	w.mu.Unlock()
	if used {
		return nil, errSecond
	}
	conn, err := w.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed { // meanwhile
		_ = conn.Close()
		return nil, errSecond
	}
	w.conn = conn
	return conn, nil
}

// close closes the connection, which wakes those that read from it.
func (w *wire) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.conn != nil {
		_ = w.conn.Close()
	}
}
