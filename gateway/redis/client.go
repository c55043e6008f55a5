package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"wsfpm/gateway/redisurl"
)

// Timeouts of connections to Redis. They are longer than a healthy Redis needs: callers
// give their calls shorter ones.
const (
	dialTimeout = 2 * time.Second
	ioTimeout   = 3 * time.Second
)

// sentinelTimeout is for a connection to a Sentinel, or an answer of one. Before a dial may fail,
// go-redis asks the Sentinel that it had asked before twice, and then all at once: within
// dialTimeout, else it would stay with one that stands still.
const sentinelTimeout = dialTimeout / 4

// clusterLook is the interval of refreshing the state of a Cluster. A PUBLISH to the
// wrong node is not an error, so it does not reveal a change.
const clusterLook = 5 * time.Second

// Client is a pool of connections to one Redis, the master of a Sentinel group, or a Cluster.
// It is safe for concurrent use. It sends each command once: after an error the command may
// have been carried out.
type Client struct {
	redis   goredis.UniversalClient
	single  *goredis.Client        // nil unless redis is one
	cluster *goredis.ClusterClient // nil unless redis is one
	// anchor is a Redis channel that every process subscribes to. In a Cluster, its
	// node carries all subscriptions and publishes, so that all processes receive
	// messages in the same order.
	anchor   string
	failover bool // see Moves
	secure   bool // with TLS
}

// New returns a client for a URL of package redisurl. It does not connect. The anchor is a
// Redis channel that every process subscribes to, see [Client.Open]. Errors do not contain
// the URL, which may hold a password. The caller must call Close.
func New(rawURL, anchor string) (*Client, error) {
	c, err := newClient(rawURL, false)
	if err != nil {
		return nil, err
	}
	c.anchor = anchor
	return c, nil
}

// NewStore is [New] for keys: its commands go to the database of the URL, while pub/sub has
// no databases. It does not subscribe or publish.
func NewStore(rawURL string) (*Client, error) { return newClient(rawURL, true) }

// newClient makes a client for database 0, or for the one of the URL.
func newClient(rawURL string, database bool) (*Client, error) {
	goredis.SetLogger(silent{}) // callers log by themselves
	u, err := redisurl.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("redis url: %w", err)
	}
	c, err := newKind(u, database)
	if err != nil {
		// Cannot happen after package redisurl. The error may contain values.
		return nil, errors.New("redis url: go-redis does not read it: please report this")
	}
	c.secure = u.TLS() != nil
	return c, nil
}

func newKind(u *redisurl.URL, database bool) (*Client, error) {
	switch u.Kind {
	case redisurl.Cluster:
		return newCluster(u)
	case redisurl.Sentinel:
		return newSentinel(u, database)
	}
	return newSingle(u, database)
}

// newSingle makes a client for one Redis.
func newSingle(u *redisurl.URL, database bool) (*Client, error) {
	o, err := goredis.ParseURL(u.Full())
	if err != nil {
		return nil, err
	}
	o.Dialer = dialer(u.TLS())
	if !database {
		o.DB = 0 // irrelevant for pub/sub, and SELECT would need a permission
	}
	o.Protocol = 2           // RESP3 has no advantage here
	o.MaxRetries = -1        // a repeated publish may arrive twice
	o.DialerRetries = 1      // callers retry by themselves
	o.DisableIdentity = true // CLIENT SETINFO would need a permission
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, ioTimeout, ioTimeout
	o.ContextTimeoutEnabled = true
	o.MaintNotificationsConfig = noMaintenance()
	c := goredis.NewClient(o)
	return &Client{redis: c, single: c}, nil
}

// newSentinel makes a client for the master of a Sentinel group.
func newSentinel(u *redisurl.URL, database bool) (*Client, error) {
	o, err := goredis.ParseFailoverURL(u.Full())
	if err != nil {
		return nil, err
	}
	o.Dialer = dialer(u.TLS())
	if !database {
		o.DB = 0
	}
	o.Protocol, o.MaxRetries, o.DialerRetries, o.DisableIdentity = 2, -1, 1, true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, ioTimeout, ioTimeout
	o.ContextTimeoutEnabled = true
	o.MinIdleConns = 0 // it would connect at once
	c := goredis.NewFailoverClient(o)
	// The client has its settings. From now on go-redis reads o for each Sentinel only.
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = sentinelTimeout, sentinelTimeout, sentinelTimeout
	return &Client{redis: c, single: c, failover: true}, nil
}

// newCluster makes a client for a Cluster.
func newCluster(u *redisurl.URL) (*Client, error) {
	o, err := goredis.ParseClusterURL(u.Full())
	if err != nil {
		return nil, err
	}
	o.Dialer = dialer(u.TLS())
	o.Protocol, o.MaxRetries, o.MaxRedirects, o.DialerRetries, o.DisableIdentity = 2, -1, -1, 1, true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, ioTimeout, ioTimeout
	o.ContextTimeoutEnabled = true
	o.ClusterStateReloadInterval = clusterLook
	o.MaintNotificationsConfig = noMaintenance()
	c := goredis.NewClusterClient(o)
	return &Client{redis: c, cluster: c, failover: true}, nil
}

func noMaintenance() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// silent discards go-redis's log.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// Publish sends a payload on a Redis channel, once, and returns the number of its
// subscribers, which in a Cluster is that of the anchor's node. It waits for the answer
// until ctx ends, for at most 3 s.
func (c *Client) Publish(ctx context.Context, channel string, payload []byte) (heard int64, err error) {
	if c.cluster == nil {
		return c.redis.Publish(ctx, channel, payload).Result()
	}
	master, err := c.node(ctx, c.anchor)
	if err != nil {
		return 0, err
	}
	return master.Publish(ctx, channel, payload).Result()
}

// Payload is one payload of [Client.PublishAll].
type Payload struct {
	Channel string
	Data    []byte
}

// PublishAll is [Client.Publish] for several payloads, in order and in one round trip. It returns
// the error of each.
func (c *Client) PublishAll(ctx context.Context, list []Payload) []error {
	errs := make([]error, len(list))
	client := c.redis
	if c.cluster != nil {
		master, err := c.node(ctx, c.anchor)
		if err != nil {
			for i := range errs {
				errs[i] = err
			}
			return errs
		}
		client = master
	}
	pipe := client.Pipeline()
	for _, p := range list {
		pipe.Publish(ctx, p.Channel, p.Data)
	}
	commands, _ := pipe.Exec(ctx) // each has its own error
	for i, command := range commands {
		errs[i] = command.Err()
	}
	return errs
}

// Moves reports whether a failover may leave an open line at another server than the one
// that publishes go to.
func (c *Client) Moves() bool { return c.failover }

// Close ends all connections of the pool, not those of open lines. Later calls of other
// methods return an error.
func (c *Client) Close() error { return c.redis.Close() }

// node returns the client of the server that has a key.
func (c *Client) node(ctx context.Context, key string) (*goredis.Client, error) {
	if c.single != nil {
		return c.single, nil
	}
	return c.cluster.MasterForKey(ctx, key)
}

// refused returns the error with which Redis answered a command, or nil if it is none of
// Redis' own.
func refused(err error) error {
	var reply goredis.Error
	if !errors.As(err, &reply) || errors.Is(err, goredis.Nil) {
		return nil
	}
	return reply
}
