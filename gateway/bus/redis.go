package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"wsfpm/gateway/redisurl"
)

// Timeouts of connections to Redis. They are longer than a healthy Redis needs: callers
// observe the confirm time of Join and Publish.
const (
	dialTimeout = 2 * time.Second
	ioTimeout   = 3 * time.Second
)

// clusterLook is the interval of refreshing the state of a Cluster. A PUBLISH to the
// wrong node is not an error, so it does not reveal a change.
const clusterLook = 5 * time.Second

// client is the [broker] of one Redis, a Sentinel group or a Cluster.
type client struct {
	redis   redis.UniversalClient
	cluster *redis.ClusterClient // nil unless redis is one
	// anchor is a Redis channel that every process subscribes to. In a Cluster, its
	// node carries all subscriptions and publishes, so that all processes receive
	// messages in the same order.
	anchor string
	// failover is set if a failover may change the Redis that publishes go to.
	failover bool
}

// newClient returns a client for a URL, see [Config.URL]. It does not connect. Errors do
// not contain the URL, which may hold a password.
func newClient(rawURL, anchor string) (*client, error) {
	redis.SetLogger(silent{}) // the Bus logs by itself
	u, err := redisurl.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("redis url: %w", err)
	}
	c, err := newKind(u)
	if err != nil {
		// Cannot happen after package redisurl. The error may contain values.
		return nil, errors.New("redis url: go-redis does not read it: please report this")
	}
	c.anchor = anchor
	return c, nil
}

func newKind(u *redisurl.URL) (*client, error) {
	switch u.Kind {
	case redisurl.Cluster:
		return newCluster(u.Full())
	case redisurl.Sentinel:
		return newSentinel(u.Full())
	}
	return newSingle(u.Full())
}

// newSingle makes a client for one Redis.
func newSingle(url string) (*client, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	o.Dialer = dialer(o.TLSConfig)
	o.DB = 0                 // irrelevant for pub/sub, and SELECT would need a permission
	o.Protocol = 2           // RESP3 has no advantage here
	o.MaxRetries = -1        // a repeated publish may arrive twice
	o.DialerRetries = 1      // the Bus retries by itself
	o.DisableIdentity = true // CLIENT SETINFO would need a permission
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, ioTimeout, ioTimeout
	o.ContextTimeoutEnabled = true
	o.MaintNotificationsConfig = noMaintenance()
	return &client{redis: redis.NewClient(o)}, nil
}

// newSentinel makes a client for the master of a Sentinel group.
func newSentinel(url string) (*client, error) {
	o, err := redis.ParseFailoverURL(url)
	if err != nil {
		return nil, err
	}
	o.Dialer = dialer(o.TLSConfig)
	o.DB, o.Protocol, o.MaxRetries, o.DialerRetries, o.DisableIdentity = 0, 2, -1, 1, true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, ioTimeout, ioTimeout
	o.ContextTimeoutEnabled = true
	return &client{redis: redis.NewFailoverClient(o), failover: true}, nil
}

// newCluster makes a client for a Cluster.
func newCluster(url string) (*client, error) {
	o, err := redis.ParseClusterURL(url)
	if err != nil {
		return nil, err
	}
	o.Dialer = dialer(o.TLSConfig)
	o.Protocol, o.MaxRetries, o.MaxRedirects, o.DialerRetries, o.DisableIdentity = 2, -1, -1, 1, true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, ioTimeout, ioTimeout
	o.ContextTimeoutEnabled = true
	o.ClusterStateReloadInterval = clusterLook
	o.MaintNotificationsConfig = noMaintenance()
	c := redis.NewClusterClient(o)
	return &client{redis: c, cluster: c, failover: true}, nil
}

// dialer returns a dial function that fails once its context has ended; [redisLine] relies on
// that.
func dialer(secure *tls.Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	if secure == nil {
		return plain.DialContext
	}
	return (&tls.Dialer{NetDialer: plain, Config: secure}).DialContext
}

func noMaintenance() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// silent discards go-redis's log.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// publish sends a message without retrying and returns the number of receivers.
func (c *client) publish(ctx context.Context, channel string, payload []byte) (heard int64, err error) {
	if c.cluster == nil {
		return c.redis.Publish(ctx, channel, payload).Result()
	}
	master, err := c.cluster.MasterForKey(ctx, c.anchor)
	if err != nil {
		return 0, err
	}
	return master.Publish(ctx, channel, payload).Result()
}

func (c *client) close() error { return c.redis.Close() }

func (c *client) moves() bool { return c.failover }

// redisLine is a [line] of Redis.
type redisLine struct {
	pubsub *redis.PubSub
	ended  context.Context
}

// open connects, subscribes to the anchor and waits for the confirmation, which proves
// that the connection works.
func (c *client) open(ctx context.Context) (line, error) {
	// go-redis would reconnect and resubscribe silently inside any call. To dial it
	// needs a context that has not ended: all calls but the first get an ended one.
	ended, end := context.WithCancel(context.Background())
	end()
	l := &redisLine{pubsub: c.redis.Subscribe(ctx), ended: ended}
	err := l.pubsub.Subscribe(ctx, c.anchor)
	if err == nil {
		_, err = l.receive(ioTimeout)
	}
	if err == nil {
		return l, nil
	}
	l.close()
	if c.cluster != nil {
		c.cluster.ReloadState(ctx) // the anchor's node may have changed
	}
	return nil, err
}

func (l *redisLine) subscribe(names []string) error {
	return l.pubsub.Subscribe(l.ended, names...)
}

func (l *redisLine) subscribePatterns(patterns []string) error {
	return l.pubsub.PSubscribe(l.ended, patterns...)
}

// unsubscribe must not be called without names, which would mean all.
func (l *redisLine) unsubscribe(names []string) error {
	return l.pubsub.Unsubscribe(l.ended, names...)
}

func (l *redisLine) ping() error { return l.pubsub.Ping(l.ended) }

// receive waits for the next event. After an error, including a timeout, the line is
// unusable: a reply may have been read partly.
func (l *redisLine) receive(timeout time.Duration) (event, error) {
	got, err := l.pubsub.ReceiveTimeout(l.ended, timeout)
	if err != nil {
		return event{}, err
	}
	switch got := got.(type) {
	case *redis.Message:
		return event{kind: eventMessage, name: got.Channel, pattern: got.Pattern, payload: got.Payload}, nil
	case *redis.Pong:
		return event{kind: eventPong}, nil
	case *redis.Subscription:
		return event{kind: confirmation(got.Kind), name: got.Channel}, nil
	}
	return event{kind: eventOther}, nil
}

func confirmation(kind string) eventKind {
	switch kind {
	case "subscribe":
		return eventSubscribed
	case "unsubscribe":
		return eventUnsubscribed
	case "psubscribe":
		return eventPatternSubscribed
	}
	return eventOther
}

func (l *redisLine) close() { _ = l.pubsub.Close() } // its only error says that it is closed
