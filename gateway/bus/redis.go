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

// Times that a connection to Redis may take. They are longer than a healthy
// Redis ever needs: the confirm time of Join and Publish is what callers see.
const (
	dialTimeout = 2 * time.Second
	ioTimeout   = 3 * time.Second
)

// clusterLook is the age at which what is known about a Cluster is asked for
// again. A PUBLISH to the wrong node is no error that would tell.
const clusterLook = 5 * time.Second

// client speaks to one Redis, a Sentinel group or a Cluster. It is safe for
// concurrent use.
type client struct {
	redis   redis.UniversalClient
	cluster *redis.ClusterClient // nil unless redis is one
	// anchor is a Redis channel that every process hears. In a Cluster, its
	// node carries all subscriptions and all that this program publishes: so
	// there is one order for all processes.
	anchor string
	// moves says that the Redis to publish to may become another one.
	moves bool
}

// newClient makes a client for a URL, see [Config.URL]. It does not connect. No
// error holds the URL, which may have a password in it.
func newClient(rawURL, anchor string) (*client, error) {
	redis.SetLogger(silent{}) // what it would print, the Bus says in its own log
	u, err := redisurl.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("redis url: %w", err)
	}
	c, err := newKind(u)
	if err != nil {
		// What package redisurl accepts go-redis reads. Its errors hold values.
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
	o.DB = 0                 // pub/sub knows no databases: SELECT would only need a permission
	o.Protocol = 2           // RESP3 has nothing for us, and more to parse
	o.MaxRetries = -1        // a publish that is tried again may arrive twice
	o.DialerRetries = 1      // the Bus waits by itself
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
	return &client{redis: redis.NewFailoverClient(o), moves: true}, nil
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
	return &client{redis: c, cluster: c, moves: true}, nil
}

// dialer connects as long as its context lives, which [line] relies on.
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

// silent drops what go-redis would print to stderr.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// publish sends once and waits for the answer: how many heard it.
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

// line is one connection on which Redis sends what was published. It ends
// with its first error and never comes back by itself. One goroutine may call
// receive, one other everything else; close is safe at any time.
type line struct {
	pubsub *redis.PubSub
	ended  context.Context
}

// event is what Redis says on a line.
type event struct {
	kind    eventKind
	name    string // the Redis channel, or the pattern of a confirmation
	pattern string // of a relay's message
	payload string
}

type eventKind uint8

const (
	eventMessage eventKind = iota + 1
	eventSubscribed
	eventUnsubscribed
	eventPatternSubscribed
	eventPong
	eventOther
)

// open connects, subscribes to the anchor and waits until that is confirmed,
// so that the connection is known to be accepted and alive.
func (c *client) open(ctx context.Context) (*line, error) {
	// go-redis connects and subscribes again inside any call, unseen. It needs
	// a living context to dial, so all calls but the first get one that is over.
	ended, end := context.WithCancel(context.Background())
	end()
	l := &line{pubsub: c.redis.Subscribe(ctx), ended: ended}
	err := l.pubsub.Subscribe(ctx, c.anchor)
	if err == nil {
		_, err = l.receive(ioTimeout)
	}
	if err == nil {
		return l, nil
	}
	l.close()
	if c.cluster != nil {
		c.cluster.ReloadState(ctx) // the anchor's node may be another by now
	}
	return nil, err
}

func (l *line) subscribe(names []string) error {
	return l.pubsub.Subscribe(l.ended, names...)
}

func (l *line) subscribePatterns(patterns []string) error {
	return l.pubsub.PSubscribe(l.ended, patterns...)
}

// unsubscribe must not be called without names: Redis would take that for all.
func (l *line) unsubscribe(names []string) error {
	return l.pubsub.Unsubscribe(l.ended, names...)
}

func (l *line) ping() error { return l.pubsub.Ping(l.ended) }

// receive waits for the next event. An error, and so the end of the timeout,
// leaves the line useless: half an answer may have been read.
func (l *line) receive(timeout time.Duration) (event, error) {
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

func (l *line) close() { _ = l.pubsub.Close() } // its only error says that it is closed
